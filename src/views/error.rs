//! Errors as pages: what happened and what to do next. Causes go to the log, once, and never onto a page.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::store::StoreError;

/// Why a page can't be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// There is no such page.
    #[error("There is no such page.")]
    NoPage,
    /// There is no such delivery.
    #[error("There is no such delivery.")]
    NoDelivery,
    /// There is no such entry of the audit log.
    #[error("There is no such entry.")]
    NoEntry,
    /// The link never was one of ours.
    #[error("This link does not lead to a calendar.")]
    NoFeed,
    /// The feed's link was rotated.
    #[error("This calendar has a new link.")]
    FeedRotated,
    /// The feed was ended.
    #[error("This calendar is no longer offered.")]
    FeedRevoked,
    /// What was to be approved was decided before, or something newer took its place.
    #[error("This deletion no longer waits for a decision.")]
    NothingWaits,
    /// A calendar does not allow it, or not before something else is finished.
    #[error("This can't be done right now.")]
    NotNow,
    /// A feed was ended: nothing can be done with it any more.
    #[error("This feed was ended.")]
    FeedEnded,
    /// A feed is no longer as the page showed it.
    #[error("This feed was changed meanwhile.")]
    FeedChanged,
    /// A form came without the token that belongs to its cookie.
    #[error("This form was no longer valid.")]
    StaleForm,
    /// A form can't be read.
    #[error("This form could not be read.")]
    BadForm,
    /// A form is longer than its page takes.
    #[error("This form is too long.")]
    LongForm,
    /// The page takes another method.
    #[error("This address can't be used that way.")]
    BadMethod,
    /// Too many attempts to sign in.
    #[error("Too many attempts to sign in.")]
    TooManySignIns,
    /// No password was ever set.
    #[error("No admin password is set.")]
    NoPassword,
    /// The database can't be used now.
    #[error("The database can't be used right now.")]
    Unavailable,
    /// A fault of ours.
    #[error("Something went wrong here.")]
    Internal,
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, cause = ?error, "a page could not be made: the database failed");
        if error.is_unavailable() { Self::Unavailable } else { Self::Internal }
    }
}

impl From<tower_sessions::session::Error> for PageError {
    fn from(error: tower_sessions::session::Error) -> Self {
        tracing::error!(%error, cause = ?error, "a session could not be kept");
        Self::Unavailable
    }
}

/// How long a person waits before signing in again, in seconds: by then the limit per address is free again.
const SIGN_IN_PAUSE: u32 = 60;

#[derive(Template, WebTemplate)]
#[template(path = "error.html")]
struct ErrorPage {
    code: u16,
    what: String,
    next: &'static str,
    href: &'static str,
    label: &'static str,
}

impl PageError {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoPage | Self::NoDelivery | Self::NoEntry | Self::NoFeed => StatusCode::NOT_FOUND,
            Self::FeedRotated | Self::FeedRevoked | Self::FeedEnded => StatusCode::GONE,
            Self::NothingWaits | Self::NotNow | Self::FeedChanged => StatusCode::CONFLICT,
            Self::StaleForm => StatusCode::FORBIDDEN,
            Self::BadForm => StatusCode::BAD_REQUEST,
            Self::LongForm => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManySignIns => StatusCode::TOO_MANY_REQUESTS,
            Self::NoPassword | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What to do next.
    fn next(self) -> &'static str {
        match self {
            Self::NoPage => "Check the address. If you look for a meeting, search for it on the meetings page.",
            Self::NoDelivery => "Check the number, or look for the delivery in the inbox.",
            Self::NoEntry => {
                "Check the number, or look for the entry in the audit log. Entries that were too old to be kept are gone."
            }
            Self::NoFeed => {
                "Perhaps it was cut off or mistyped: copy the whole link again, or ask whoever gave it to you for a new one."
            }
            Self::FeedRotated => {
                "The old link was replaced and shows nothing any more. Ask whoever gave it to you for the new one, subscribe to \
                 that, and remove the old subscription from your calendar program."
            }
            Self::FeedRevoked => {
                "Its owner has ended it. Remove the subscription from your calendar program; if you still need the meetings, \
                 ask whoever gave you the link."
            }
            Self::NothingWaits => {
                "Nothing was approved or rejected just now: somebody has decided already, or a newer change of the calendar took \
                 its place. Look at the calendars as they are now."
            }
            Self::NotNow => {
                "Nothing was changed: the mirror is off, another check or purge is not finished, or somebody changed or removed the \
                 calendar meanwhile. Look at the calendars as they are now."
            }
            Self::FeedEnded => {
                "Nothing was changed. An ended feed stays ended, and its links say so; to offer its meetings again, add a new feed."
            }
            Self::FeedChanged => {
                "Nothing was changed just now: somebody else has edited the feed, made a new link or ended it. Look at it as it is \
                 now."
            }
            Self::StaleForm => {
                "Nothing was changed. The page was open too long, or your browser did not send its cookie. Go back, reload the \
                 page and try again; cookies from this site must be allowed."
            }
            Self::BadForm => "Nothing was changed. Go back, reload the page and try again.",
            Self::LongForm => "Nothing was changed. Go back and shorten what you typed; it is still there.",
            Self::BadMethod => "Nothing was changed. Start again from the status page.",
            Self::TooManySignIns => "Wait a minute, then try again.",
            Self::NoPassword => {
                "Restart the server with MEETING_MIRROR_ADMIN_PASSWORD (or --admin-password) set to a password of at least 8 \
                 characters."
            }
            Self::Unavailable => {
                "Wait a moment and reload the page. If it stays like this, the server's log names the cause; a full disk and \
                 a missing write permission are the usual ones."
            }
            Self::Internal => "The server's log names the cause. Reloading the page does no harm.",
        }
    }

    /// Where to go from here.
    fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::NoPage | Self::BadMethod | Self::Unavailable | Self::Internal => ("/status", "To the status page"),
            Self::NoDelivery => ("/inbox", "To the inbox"),
            Self::NoEntry => ("/audit", "To the audit log"),
            Self::NothingWaits | Self::NotNow => ("/calendars", "To the calendars"),
            Self::FeedEnded | Self::FeedChanged => ("/feeds", "To the feeds"),
            Self::TooManySignIns | Self::NoPassword => ("/login", "To the sign-in page"),
            // People who follow a feed's link have no business on the admin pages.
            Self::NoFeed | Self::FeedRotated | Self::FeedRevoked | Self::StaleForm | Self::BadForm | Self::LongForm => {
                ("", "")
            }
        }
    }
}

impl From<FormRejection> for PageError {
    fn from(rejection: FormRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { Self::LongForm } else { Self::BadForm }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (href, label) = self.link();
        let page = ErrorPage { code: self.status().as_u16(), what: self.to_string(), next: self.next(), href, label };
        let mut response = page.into_response();
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self == Self::TooManySignIns {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(SIGN_IN_PAUSE));
        }
        response
    }
}

/// The answer where no route is.
pub(super) async fn no_page() -> PageError {
    PageError::NoPage
}

/// The answer where the route takes another method.
pub(super) async fn bad_method() -> PageError {
    PageError::BadMethod
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;

    #[tokio::test]
    async fn an_unknown_address_leads_back_and_a_wrong_method_says_so() {
        let stage = Stage::new().await;
        let mut visitor = stage.visitor();
        let answer = visitor.get("/nowhere/%FF").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        answer.assert_shows(&["There is no such page.", "href=\"/status\"", "lang=\"en\""]);
        let answer = visitor.post("/livez", &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn a_failing_database_shows_no_inner_text() {
        let stage = Stage::new().await;
        let mut visitor = stage.admin().await;
        stage.site.store.close().await;
        let answer = visitor.get("/status").await;
        assert!(answer.status.is_server_error(), "{}", answer.status);
        assert!(!answer.body.contains("pool") && !answer.body.contains("sqlx"));
    }

    #[test]
    fn every_page_says_what_to_do() {
        use PageError::*;
        for error in [
            NoPage,
            NoDelivery,
            NoEntry,
            NoFeed,
            FeedRotated,
            FeedRevoked,
            NothingWaits,
            NotNow,
            FeedEnded,
            FeedChanged,
            StaleForm,
            BadForm,
            LongForm,
            BadMethod,
            TooManySignIns,
            NoPassword,
            Unavailable,
            Internal,
        ] {
            assert!(error.next().ends_with('.') && error.to_string().ends_with('.'), "{error:?}");
            let page = ErrorPage {
                code: error.status().as_u16(),
                what: error.to_string(),
                next: error.next(),
                href: error.link().0,
                label: error.link().1,
            };
            assert!(page.render().unwrap().contains("<main"), "{error:?}");
        }
    }
}
