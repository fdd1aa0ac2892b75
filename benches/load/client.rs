//! The sender: deliveries that were made and signed before anything is measured, and the ways to send them.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use meeting_mirror::inbound::signature::sign;
use meeting_mirror::inbound::webhook;
use serde_json::json;

use super::common::{KEY, now};
use super::connection::Connection;
use super::machine::processor_time;

/// The body of one delivery, as long as real ones are. Each number is another meeting, which begins within 60 days.
pub(crate) fn body(number: u32, at: DateTime<Utc>) -> Vec<u8> {
    // Ids in no order, as the sender's are.
    let scattered = number.wrapping_mul(2_654_435_769);
    let starts = at + TimeDelta::minutes(60 + i64::from(scattered % 86_400));
    let owner = format!("owner-{}@example.com", number % 500);
    let body = json!({
        "organizationGuid": "f6fadfa7-e5c1-4b62-9362-da5cc13da58a",
        "eventId": format!("{scattered:08x}-cc09-4a1e-b706-{number:012}"),
        "webhookId": "2c63888f-28f0-4481-be6d-dce7a7ace732",
        "endpointUrl": "https://mirror.example.com/webhooks/cirrus-insight",
        "eventTimestamp": at, "deliveryAttempt": 1, "deliveryTimestamp": at,
        "eventType": "scheduling.smartscheduler.scheduled",
        "data": {
            "id": format!("{scattered:08x}-4dab-4481-b253-{number:012}"),
            "emailMeetingId": format!("AAMkAGNkYjE3LFy5UBIHEYeD7p4Zdl_AK6j0KgodkDINzNlxICAbaG8wy1JZirLnqB0P{scattered:08x}"),
            "zoomMeetingId": "97789328792",
            "organizationId": "f6fadfa7-e5c1-4b62-9362-da5cc13da58a",
            "meetingStart": starts, "meetingEnd": starts + TimeDelta::minutes(30), "isCanceled": false,
            "meetingOwner": {"userId": "fab36728-a78b-4b7e-8787-c0de2f960063", "username": owner, "lastName": "Example", "firstName": "Ada"},
            "meetingInfo": {
                "primaryInviteeName": format!("Bo Guest{number}"), "primaryInvitee": format!("bo-{number}@example.org"),
                "optionalInvitees": "cy@example.org, di@example.org", "existingEmailMeetingId": null,
                "meetingName": format!("Product demo {number}"), "location": "https://zoom.example.com/j/97789328792",
                "calendarUrl": "https://book.example.com/northwind/product-demo",
                "organizationPath": "northwind", "calendarPath": "product-demo",
                "formValues": [
                    {"question": "Which product would you like to see?", "answerText": "Dispatch, with the parts inventory add-on"},
                    {"question": "What do you use today?", "answerText": "A shared spreadsheet and two whiteboards in the depot"},
                ],
                "surveyQuestions": [{"question": "How many people work in the field?", "answer": "38", "isRequired": true}],
            },
        },
    });
    body.to_string().into_bytes()
}

/// The request that delivers a body.
pub(crate) fn signed(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nX-Webhook-Signature: {}\r\n\r\n",
        webhook::PATH,
        body.len(),
        sign(KEY, body)
    );
    [head.as_bytes(), body].concat()
}

/// Requests that are ready to be sent, each at most once.
pub(crate) struct Requests {
    ready: Vec<Vec<u8>>,
    next: Cell<usize>,
}

impl Requests {
    /// So many, beginning with that number.
    pub(crate) fn new(first: u32, many: u32, at: DateTime<Utc>) -> Self {
        let ready = (first..first + many).map(|number| signed(&body(number, at))).collect();
        Self { ready, next: Cell::new(0) }
    }

    /// The same, from the beginning.
    pub(crate) fn again(&self) {
        self.next.set(0);
    }

    fn take(&self) -> Option<(usize, &[u8])> {
        let place = self.next.get();
        self.next.set(place + 1);
        Some((place, self.ready.get(place)?))
    }
}

/// What a sender saw.
pub(crate) struct Seen {
    /// Deliveries that were answered with 200; there was no other answer.
    pub(crate) answered: usize,
    pub(crate) seconds: f64,
    /// Of each answer, in ms, sorted.
    times: Vec<f64>,
    /// Share of one core that this process took.
    pub(crate) own_share: f64,
}

impl Seen {
    #[expect(clippy::cast_precision_loss, reason = "so many are never sent")]
    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// So many of a thousand answers took at most these ms.
    pub(crate) fn within(&self, thousandths: usize) -> f64 {
        self.times[(self.times.len() * thousandths / 1000).min(self.times.len() - 1)]
    }
}

/// Sends over so many connections, each of which sends when it has read the answer to the one before.
pub(crate) async fn send_closed(to: SocketAddr, requests: &Requests, connections: usize, lasting: Duration) -> Seen {
    send(to, requests, connections, lasting, None).await
}

/// Sends so many a second, whatever the server does. A delivery's time counts from when it was due, so that it holds what waiting
/// for a free connection took; the sender's own clock makes it up to a millisecond longer.
pub(crate) async fn send_open(to: SocketAddr, requests: &Requests, per_second: f64, lasting: Duration) -> Seen {
    send(to, requests, 256, lasting, Some(per_second)).await
}

#[expect(clippy::cast_precision_loss, reason = "so many are never sent")]
async fn send(
    to: SocketAddr,
    requests: &Requests,
    connections: usize,
    lasting: Duration,
    per_second: Option<f64>,
) -> Seen {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::to(to).await);
    }
    let (begun, own) = (now(), processor_time("self"));
    let senders = open.into_iter().map(|mut connection| async move {
        let mut times = Vec::new();
        while begun.elapsed() < lasting {
            let Some((place, request)) = requests.take() else { break };
            let due = match per_second {
                Some(rate) => begun + Duration::from_secs_f64(place as f64 / rate),
                None => now(),
            };
            if due >= begun + lasting {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            let (status, head, _) = connection.ask(request).await;
            assert_eq!(status, 200, "{head}");
            times.push(due.elapsed().as_secs_f64() * 1000.0);
        }
        times
    });
    let mut times = join_all(senders).await.concat();
    let seconds = begun.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Seen { answered: times.len(), seconds, times, own_share: (processor_time("self") - own) / seconds }
}
