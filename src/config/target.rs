//! Addresses elsewhere that something is sent to. They may be secrets as a whole.

use std::fmt;

use hyper::Uri;
use hyper::header::HeaderValue;
use url::{Host, Url};

/// An address that something is sent to. Of the address only the host is told.
#[derive(Clone)]
pub struct PushTarget {
    /// The address.
    pub address: Uri,
    /// Value of the Authorization header.
    pub authorization: Option<HeaderValue>,
}

impl PushTarget {
    /// Host, and port if there is one.
    pub fn host(&self) -> &str {
        self.address.authority().map_or("", |authority| authority.as_str())
    }

    /// The authorization, for the one who needs it.
    pub fn authorization_text(&self) -> Option<String> {
        self.authorization.as_ref().and_then(|value| value.to_str().ok()).map(str::to_owned)
    }
}

impl fmt::Debug for PushTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushTarget").field("host", &self.host()).finish_non_exhaustive()
    }
}

/// The address of that text, if it is one in full that nobody reads on the way: https, or http to this machine; without a user name,
/// a password and a fragment.
pub(super) fn push_address(text: &str) -> Option<Uri> {
    let url = Url::parse(text).ok()?;
    let on_this_machine = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let fits = (url.scheme() == "https" || url.scheme() == "http" && on_this_machine)
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    url.as_str().parse().ok().filter(|_| fits)
}
