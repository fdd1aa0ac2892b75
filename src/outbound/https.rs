//! The HTTP connector of every outgoing call: http and https, ring for TLS, the system's root certificates.

use std::io;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

/// The connector's type.
pub type Connector = HttpsConnector<HttpConnector>;

/// A connector.
///
/// # Errors
/// When the system has no root certificates.
pub fn connector() -> io::Result<Connector> {
    Ok(HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .build())
}

/// The innermost cause: outer ones only say that there was an error.
pub(super) fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
