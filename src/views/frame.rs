//! What every admin page has around its content: proof of who asks, the time it is seen from, the navigation, the state
//! of Google's side and the form token.

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{FromRef, FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum_csrf::CsrfToken;
use serde::de::DeserializeOwned;
use tower_sessions::Session;

use super::error::PageError;
use super::time_text::Times;
use crate::web::csrf;
use crate::web::session::{self, Admin};
use crate::web::site::Site;

/// With this header an open page asks for itself anew: no person asked.
const RENEWAL: &str = "x-renewal";

/// The entries of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Status,
    Meetings,
    Inbox,
    Calendars,
    Feeds,
    Audit,
    /// Not in the navigation, but beside the button for signing out.
    Password,
}

impl Section {
    const ALL: [Self; 6] = [Self::Status, Self::Meetings, Self::Inbox, Self::Calendars, Self::Feeds, Self::Audit];

    fn href(self) -> &'static str {
        match self {
            Self::Status => "/status",
            Self::Meetings => "/meetings",
            Self::Inbox => "/inbox",
            Self::Calendars => "/calendars",
            Self::Feeds => "/feeds",
            Self::Audit => "/audit",
            Self::Password => "/password",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Status => "Status",
            Self::Meetings => "Meetings",
            Self::Inbox => "Inbox",
            Self::Calendars => "Calendars",
            Self::Feeds => "Feeds",
            Self::Audit => "Audit log",
            Self::Password => "Password",
        }
    }
}

/// Google's side, as pages tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mirror {
    /// No credentials are set.
    Off,
    /// Calendars are shared with this account.
    On { account: String },
    /// Google is only simulated, and can be looked at there.
    Simulated { account: String, at: String },
}

impl Mirror {
    pub(super) fn of(site: &Site) -> Self {
        match &site.google {
            None => Self::Off,
            Some(google) => match &google.simulated_at {
                None => Self::On { account: google.account.clone() },
                Some(at) => Self::Simulated { account: google.account.clone(), at: at.clone() },
            },
        }
    }

    /// Whether anything is mirrored.
    pub(super) fn is_on(&self) -> bool {
        *self != Self::Off
    }

    /// The account to share calendars with.
    pub(super) fn account(&self) -> &str {
        match self {
            Self::Off => "",
            Self::On { account } | Self::Simulated { account, .. } => account,
        }
    }
}

/// What stands around the content of an admin page.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    section: Section,
    /// Google's side.
    pub(super) mirror: Mirror,
    /// For the hidden field `token` of every form.
    pub(super) token: String,
    /// Zone of all times on the page.
    pub(super) zone: &'static str,
}

/// One entry of the navigation.
pub(super) struct NavItem {
    pub(super) href: &'static str,
    pub(super) label: &'static str,
    pub(super) current: bool,
}

impl Frame {
    /// The navigation.
    pub(super) fn nav(&self) -> impl Iterator<Item = NavItem> {
        Section::ALL.into_iter().map(|section| self.item(section))
    }

    /// The link to the page on which the password is changed.
    pub(super) fn password(&self) -> NavItem {
        self.item(Section::Password)
    }

    fn item(&self, section: Section) -> NavItem {
        NavItem { href: section.href(), label: section.label(), current: section == self.section }
    }

    /// Where a simulated Google can be looked at.
    pub(super) fn simulated_at(&self) -> Option<&str> {
        match &self.mirror {
            Mirror::Simulated { at, .. } => Some(at),
            Mirror::Off | Mirror::On { .. } => None,
        }
    }
}

/// An admin's request for a page. Anybody else is sent to the sign-in page.
#[derive(Clone)]
pub(super) struct Visit {
    /// What the site serves.
    pub(super) site: Site,
    /// The now of this page.
    pub(super) times: Times,
    token: CsrfToken,
}

impl<S: Sync> FromRequestParts<S> for Visit
where
    Site: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let site = &Site::from_ref(state);
        let session = Session::from_request_parts(parts, site).await.map_err(IntoResponse::into_response)?;
        // A session that can't be read now is no reason to ask for the password again.
        session.load().await.map_err(|error| PageError::from(error).into_response())?;
        Admin::from_request_parts(parts, site).await?;
        if !parts.headers.contains_key(RENEWAL) {
            session::used(&session, site).await.map_err(|error| PageError::from(error).into_response())?;
        }
        let token = CsrfToken::from_request_parts(parts, site).await.map_err(IntoResponse::into_response)?;
        Ok(Self { site: site.clone(), times: Times::of(site), token })
    }
}

impl Visit {
    /// The frame of a page of that section.
    pub(super) fn frame(&self, section: Section) -> Frame {
        Frame {
            section,
            mirror: Mirror::of(&self.site),
            token: csrf::field(&self.token),
            zone: self.site.time_zone.name(),
        }
    }

    /// Answers with a page, and with the cookie that its forms need.
    pub(super) fn show<T: Template>(self, page: T) -> Response {
        (self.token, WebTemplate(page)).into_response()
    }

    /// Refuses a form that another site may have sent.
    pub(super) fn check(&self, token: &str) -> Result<(), PageError> {
        self.token.verify(token).map_err(|_| PageError::StaleForm)
    }
}

/// The query of a page. One that can't be read counts as empty: a list then begins at its beginning.
#[derive(Debug, Clone, Default)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Query::try_from_uri(&parts.uri).map(|Query(params)| params).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use axum::http::StatusCode;

    #[tokio::test]
    async fn every_admin_page_asks_for_the_password_and_is_not_kept() {
        let stage = Stage::new().await;
        let mut stranger = stage.visitor();
        let mut admin = stage.admin().await;
        for page in ["/status", "/meetings", "/meetings/x", "/inbox", "/inbox/1", "/calendars", "/feeds", "/audit"] {
            let answer = stranger.get(page).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{page}");
            assert!(answer.header("location").starts_with("/login?next="), "{page}");
            assert!(answer.body.is_empty(), "{page}");
            let answer = admin.get(page).await;
            assert_ne!(answer.status, StatusCode::SEE_OTHER, "{page}");
            assert_eq!(answer.header("cache-control"), "no-store", "{page}");
        }
        assert_eq!(stranger.post("/inbox/1/replay", &[]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(stranger.post("/logout", &[]).await.status, StatusCode::SEE_OTHER);
    }

    #[tokio::test]
    async fn the_page_one_is_on_is_marked_and_the_root_leads_to_the_status() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        let answer = admin.get("/").await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/status"));
        admin.get("/feeds").await.assert_shows(&[
            "<a href=\"/feeds\" aria-current=\"page\">Feeds</a>",
            "href=\"#content\"",
            "<main id=\"content\"",
        ]);
    }

    #[tokio::test]
    async fn a_simulated_google_is_announced_on_every_page_that_shows_the_mirror() {
        let mut stage = Stage::new().await;
        stage.simulate_google("http://127.0.0.1:9/calendars");
        stage.meeting("m-1", 24).await;
        let mut admin = stage.admin().await;
        for page in ["/status", "/meetings/m-1", "/calendars"] {
            let answer = admin.get(page).await;
            answer.assert_shows(&["Google is simulated here", "href=\"http://127.0.0.1:9/calendars\""]);
        }
    }
}
