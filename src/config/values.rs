//! How the text of a setting becomes its value, or a sentence that says what is needed.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use chrono_tz::Tz;
use url::Url;

pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an IP address and a port are needed, such as 127.0.0.1:8080 or 0.0.0.0:8080".into())
}

/// An http or https address without the slash at its end, so that paths can be put after it.
pub(super) fn public_url(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|error| format!("{error}; give it in full, such as https://mirror.example.com"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or password has no place in it: every link that is shown would carry it".into());
    }
    if !matches!(url.path(), "" | "/") {
        return Err(
            "a path has no place in it: the service answers at the root of its host only, so give it a host name of \
                    its own, such as https://mirror.example.com"
                .into(),
        );
    }
    let fits =
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none();
    // A feed link is about 60 characters longer, and calendar programs take 256 (facts: ICS subscribers 12).
    if fits && text.len() <= 160 {
        Ok(url)
    } else {
        Err("an http or https address of at most 160 characters without ? and # is needed, such as https://mirror.example.com".into())
    }
}

pub(super) fn google_api_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let fits = url.filter(|url| url.path().ends_with("/calendar/v3/"));
    fits.ok_or_else(|| "an http or https address that ends in /calendar/v3/ is needed".into())
}

pub(super) fn at_least_one(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "a whole number from 1 up is needed".into())
}

pub(super) fn header_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits { Ok(text.to_ascii_lowercase()) } else { Err("a header name such as X-Signature is needed".into()) }
}

pub(super) fn time_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "an IANA name such as Europe/Berlin or America/New_York is needed".into())
}
