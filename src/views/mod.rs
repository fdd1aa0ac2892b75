//! Everything people look at: one file per page, its struct, its handler and its tests together. Pages read the tables
//! and show them; they never ask Google and never touch a delivery but to have it worked on again.

mod alerts;
mod assets;
mod audit;
mod audit_choice;
mod audit_entry;
mod calendar_end;
mod calendar_form;
mod calendar_job;
mod calendar_summary;
mod calendars;
mod day_bars;
mod delivery;
mod delivery_choice;
mod delivery_deed;
mod error;
pub mod feed;
mod feed_end;
mod feed_facts;
mod feed_form;
mod feed_page;
mod feeds;
mod field;
mod frame;
mod held_change;
mod inbox;
mod json_text;
mod live;
mod login;
mod meeting;
mod meeting_choice;
mod meeting_places;
mod meeting_timeline;
mod meetings;
mod metrics;
mod metrics_service;
mod mirror_state;
mod operations;
mod password;
mod personal_feeds;
mod progress;
mod reach;
mod sent_on;
mod shown_form;
#[cfg(test)]
mod snapshots;
mod status;
mod status_keeping;
mod subscribe;
mod tabs;
#[cfg(test)]
mod testing;
mod time_text;
mod verdict;
mod week;
mod words;

use axum::Router;
use axum::extract::FromRef as _;
use axum::http::{HeaderValue, header};
use axum::response::Redirect;
use axum::routing::get;
use tower_http::set_header::SetResponseHeaderLayer;

pub use delivery_deed::deed_question;
pub use error::PageError;
pub use feed::{FeedCache, ROUND as FEEDS_ROUND};
pub use json_text::readable;
pub use words::count;

use crate::web::session;
use crate::web::site::Site;

/// Every page and every feed: the admin pages behind their session, what subscribers need, and the routes for operations.
pub fn router(feeds: &FeedCache) -> Router {
    let site = Site::from_ref(feeds);
    let https = site.links.public_url().starts_with("https:");
    let admin = Router::new()
        .route("/", get(Redirect::to("/status")))
        .merge(status::router(feeds.clone()))
        .merge(meetings::router(feeds.clone()))
        .merge(meeting::router(feeds.clone()))
        .merge(inbox::router())
        .merge(delivery_deed::router())
        .merge(delivery::router())
        .merge(calendars::router())
        .merge(calendar_form::router())
        .merge(calendar_job::router())
        .merge(calendar_end::router())
        .merge(held_change::router())
        .merge(feeds::router())
        .merge(feed_page::router(feeds.clone()))
        .merge(feed_form::router())
        .merge(feed_end::router())
        .merge(personal_feeds::router())
        .merge(alerts::router())
        .merge(audit::router())
        .merge(audit_entry::router())
        .merge(login::router())
        .merge(live::router())
        .merge(password::router())
        .layer(session::layer(site.store.clone(), site.clock.clone(), https))
        .layer(not_kept());
    admin
        .merge(feed::router(feeds.clone()))
        .merge(subscribe::router(feeds.clone()))
        .merge(operations::router(feeds.clone()))
        .merge(assets::router())
        .method_not_allowed_fallback(error::bad_method)
        .fallback(error::no_page)
        .with_state(site)
}

/// Pages show names and addresses of people: neither a browser nor a proxy keeps them.
fn not_kept() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
