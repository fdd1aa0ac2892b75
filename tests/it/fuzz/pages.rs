//! Queries and forms on the running server: whatever stands in them, a page or a plain refusal is the answer, never a fault; and
//! what a link of a page chooses stands in the fields of the page that it leads to.

use super::fuzz;
use crate::security::page::{self, Element};
use crate::support::{TestApp, event};

/// The places and, after the line's end, what is asked of them.
const QUERIES: [&str; 12] = [
    "/meetings\nq=demo&status=canceled&owner=ada%40example.com&calendar=1&standing=pending&from=2026-11-20&until=2026-12-01&sort=latest",
    "/meetings\nview=week&week=2026-11-23&q=%22demo%22+room",
    "/meetings\nafter=0~1795165200~m-1&sort=changed",
    "/meetings\nid=m-1",
    "/inbox\nstatus=applied&type=scheduling.smartscheduler.scheduled&about=m-1&repeated=1&from=2026-11-01&until=2026-12-31&after=2",
    "/audit\nq=setting&person=ada&category=setting&organization=org-1&source=admin&from=2026-11-01&until=2026-12-31&before=3",
    "/feeds\nq=sales&added=1",
    "/feeds/1/details\ndetail=full",
    "/calendars\nadded=1",
    "/login\nnext=%2Fmeetings%3Fq%3Dx",
    "/feeds/nothing.ics\nx=1",
    "/subscribe/nothing\nx=1",
];

/// The same for forms, without their token.
const FORMS: [&str; 5] = [
    "/feeds/new\nname=Sales&owners=ada%40example.com%0Abo%40example.com&schedules=&organizations=&detail=full&past_days=30&future_days=365&canceled_days=7&show_as=busy",
    "/calendars/new\nname=Team&google_id=team%40example.com&owners=&detail=title&past_days=1&future_days=9&on_cancel=delete&on_drift=repair",
    "/inbox/replay\nstatus=quarantined&type=&about=&count=1",
    "/inbox/ignore\nstatus=quarantined&type=&about=&count=1",
    "/password\nold=a&new=b&again=c",
];

/// A path and what follows it, as an address may carry them.
fn parts(bytes: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let (path, rest) = text.split_once('\n')?;
    let known = QUERIES.iter().chain(&FORMS).any(|line| line.starts_with(&format!("{path}\n")));
    // Characters that no request line holds would be refused before they get anywhere.
    let rest: String = rest.chars().filter(|c| c.is_ascii_graphic() && *c != '#').take(4_000).collect();
    known.then(|| (path.to_owned(), rest))
}

fn corpus(lines: &[&str]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| line.as_bytes().to_vec()).collect()
}

async fn app() -> TestApp {
    let app = TestApp::start().await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9), event("e-2", "canceled", "m-2", 1, 10)]).await;
    app.sign_in().await;
    app
}

/// Links of a page to itself.
fn own_links(elements: &[Element], path: &str) -> Vec<String> {
    let begins = format!("{path}?");
    elements.iter().map(|element| element.value("href").to_owned()).filter(|href| href.starts_with(&begins)).collect()
}

/// What a link chooses stands in the fields of the page that it leads to.
fn assert_fields_hold(elements: &[Element], link: &str) {
    let query = link.split_once('?').map_or("", |(_, query)| query);
    for (name, chosen) in url::form_urlencoded::parse(query.as_bytes()) {
        let fields = elements.iter().filter(|element| element.name == "input" && element.value("name") == name);
        let values: Vec<&str> = fields.map(|field| field.value("value")).collect();
        assert!(values.is_empty() || values.contains(&&*chosen), "{link}: {name} became {values:?}");
    }
}

#[test]
fn queries() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(app());
    fuzz("pages::queries", corpus(&QUERIES), 150, |bytes| {
        let Some((path, query)) = parts(bytes) else { return "no request".to_owned() };
        runtime.block_on(async {
            let ask = async |address: &str| {
                let answer = app.http.get(app.url(address)).send().await.unwrap();
                let status = answer.status().as_u16();
                assert!(matches!(status, 200 | 303 | 400 | 404 | 410 | 414), "{address}: {status}");
                (status, page::elements(&answer.text().await.unwrap()))
            };
            let (status, elements) = ask(&format!("{path}?{query}")).await;
            let links = own_links(&elements, &path);
            if let Some(link) = links.last() {
                let (again, elements) = ask(link).await;
                assert_eq!(again, 200, "{path}?{query} leads to {link}");
                assert_fields_hold(&elements, link);
            }
            format!("{path} {status} {}", links.len())
        })
    });
}

#[test]
fn forms() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(app());
    let token = page::form_token(&runtime.block_on(app.page("/status")));
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    fuzz("pages::forms", corpus(&FORMS), 100, |bytes| {
        let Some((path, form)) = parts(bytes) else { return "no request".to_owned() };
        runtime.block_on(async {
            let form = format!("token={token}&{form}");
            let request = app.http.post(app.url(&path)).header("content-type", "application/x-www-form-urlencoded");
            let answer = request.body(form.clone()).send().await.unwrap();
            let status = answer.status().as_u16();
            assert!(matches!(status, 200 | 303 | 400 | 403 | 404 | 409 | 422 | 429), "{path} {form}: {status}");
            format!("{path} {status}")
        })
    });
}
