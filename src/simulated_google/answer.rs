//! What the simulation answers: JSON bodies and Google's error shapes.
//! Must not decide anything: rules and faults choose the answer, this file only spells it.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// A JSON object: an event or a calendar as it travels.
pub(super) type Resource = Map<String, Value>;

/// A refusal in the shape of Google's documentation, "Handle API errors".
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    domain: &'static str,
    reason: &'static str,
    message: Cow<'static, str>,
    /// `locationType` and `location`.
    location: Option<(&'static str, &'static str)>,
}

impl Refusal {
    pub(super) fn new(
        status: u16,
        domain: &'static str,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, domain, reason, message: message.into(), location: None }
    }

    fn at(mut self, location_type: &'static str, location: &'static str) -> Self {
        self.location = Some((location_type, location));
        self
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "global", "invalid", message)
    }

    pub(super) fn required(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "global", "required", message)
    }

    /// A request that Google may well understand, but the simulation doesn't: better refused than answered wrongly.
    pub(super) fn not_modelled(what: &str) -> Self {
        Self::invalid(format!("The simulated Google Calendar does not model {what}."))
    }

    pub(super) fn time_range_empty() -> Self {
        Self::new(400, "calendar", "timeRangeEmpty", "The specified time range is empty.").at("parameter", "timeMax")
    }

    pub(super) fn auth_error() -> Self {
        Self::new(401, "global", "authError", "Invalid Credentials").at("header", "Authorization")
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "global", "notFound", "Not Found")
    }

    pub(super) fn duplicate() -> Self {
        Self::new(409, "global", "duplicate", "The requested identifier already exists.")
    }

    pub(super) fn deleted() -> Self {
        Self::new(410, "global", "deleted", "Resource has been deleted")
    }

    pub(super) fn full_sync_required() -> Self {
        Self::new(410, "calendar", "fullSyncRequired", "Sync token is no longer valid, a full sync is required.")
            .at("parameter", "syncToken")
    }

    pub(super) fn condition_not_met() -> Self {
        Self::new(412, "global", "conditionNotMet", "Precondition Failed").at("header", "If-Match")
    }

    /// 403 by reason, with the message Google's documentation gives for it.
    pub(super) fn forbidden(reason: &'static str) -> Self {
        let (domain, message) = match reason {
            "rateLimitExceeded" => ("usageLimits", "Rate Limit Exceeded"),
            "userRateLimitExceeded" => ("usageLimits", "User Rate Limit Exceeded"),
            "quotaExceeded" => ("usageLimits", "Calendar usage limits exceeded."),
            "insufficientPermissions" => {
                ("global", "Insufficient Permission: Request had insufficient authentication scopes.")
            }
            "requiredAccessLevel" => ("calendar", "You need to have writer access to this calendar."),
            "forbiddenForServiceAccounts" => {
                ("calendar", "Service accounts cannot invite attendees without Domain-Wide Delegation of Authority.")
            }
            _ => ("global", "Forbidden"),
        };
        Self::new(403, domain, reason, message)
    }

    fn body(&self) -> Value {
        let mut detail = json!({ "domain": self.domain, "reason": self.reason, "message": self.message });
        if let Some((location_type, location)) = self.location {
            detail["locationType"] = location_type.into();
            detail["location"] = location.into();
        }
        let mut error = json!({ "code": self.status, "message": self.message, "errors": [detail] });
        let status = match self.status {
            401 => Some("UNAUTHENTICATED"),
            403 if self.reason == "insufficientPermissions" => Some("PERMISSION_DENIED"),
            _ => None,
        };
        if let Some(status) = status {
            error["status"] = status.into();
        }
        json!({ "error": error })
    }
}

/// One HTTP answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    content: Content,
    /// Seconds.
    retry_after: Option<u32>,
}

#[derive(Debug, Clone)]
enum Content {
    Empty,
    Json(Value),
    Html(&'static str),
}

impl Answer {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, content: Content::Json(body), retry_after: None }
    }

    pub(super) fn no_content() -> Self {
        Self { status: 204, content: Content::Empty, retry_after: None }
    }

    /// What a load balancer in front of the API answers: a page, not JSON.
    pub(super) fn html(status: u16) -> Self {
        Self {
            status,
            content: Content::Html(
                "<!DOCTYPE html><html lang=en><title>Error</title><p>The server is temporarily unable to service \
                 your request. Please try again later.</html>",
            ),
            retry_after: None,
        }
    }

    pub(super) fn retry_after(mut self, seconds: Option<u32>) -> Self {
        self.retry_after = seconds;
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status, refusal.body())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self.content {
            Content::Empty => status.into_response(),
            Content::Json(body) => {
                (status, [(CONTENT_TYPE, "application/json; charset=UTF-8")], body.to_string()).into_response()
            }
            Content::Html(body) => (status, [(CONTENT_TYPE, "text/html; charset=UTF-8")], body).into_response(),
        };
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
