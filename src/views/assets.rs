//! The stylesheet, the scripts and the icon: part of the program, named by a hash of their content so that browsers may
//! keep them for a year.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// One file.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
    version: LazyLock<String>,
}

static STYLE: Asset = Asset {
    path: "/assets/style.css",
    content_type: "text/css; charset=utf-8",
    text: include_str!("../../templates/assets/style.css"),
    version: LazyLock::new(|| version(STYLE.text)),
};

static SCRIPT: Asset = Asset {
    path: "/assets/page.js",
    content_type: "text/javascript; charset=utf-8",
    text: include_str!("../../templates/assets/page.js"),
    version: LazyLock::new(|| version(SCRIPT.text)),
};

static LIVE: Asset = Asset {
    path: "/assets/live.js",
    content_type: "text/javascript; charset=utf-8",
    text: include_str!("../../templates/assets/live.js"),
    version: LazyLock::new(|| version(LIVE.text)),
};

static ICON: Asset = Asset {
    path: "/assets/icon.svg",
    content_type: "image/svg+xml",
    text: include_str!("../../templates/assets/icon.svg"),
    version: LazyLock::new(|| version(ICON.text)),
};

fn version(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..6])
}

impl Asset {
    fn href(&self) -> String {
        format!("{}?v={}", self.path, *self.version)
    }

    /// A page made by another version of the program may ask for another content: that answer is not kept.
    fn answer(&self, query: Option<&str>, headers: &HeaderMap) -> Response {
        let etag = format!("\"{}\"", *self.version);
        let named = query.and_then(|query| query.strip_prefix("v=")) == Some(self.version.as_str());
        let cache = if named { "public, max-age=31536000, immutable" } else { "no-cache" };
        let fields =
            [(header::CONTENT_TYPE, self.content_type), (header::CACHE_CONTROL, cache), (header::ETAG, etag.as_str())];
        if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, fields).into_response();
        }
        (fields, self.text).into_response()
    }
}

/// The stylesheet's address.
pub(super) fn style_href() -> String {
    STYLE.href()
}

/// The script's address.
pub(super) fn script_href() -> String {
    SCRIPT.href()
}

/// The address of the script that shows how far work is.
pub(super) fn live_href() -> String {
    LIVE.href()
}

/// The icon's address.
pub(super) fn icon_href() -> String {
    ICON.href()
}

/// The routes of all files.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    [&STYLE, &SCRIPT, &LIVE, &ICON].into_iter().fold(Router::new(), |router, asset| {
        let handler = move |RawQuery(query): RawQuery, headers: HeaderMap| async move {
            asset.answer(query.as_deref(), &headers)
        };
        router.route(asset.path, get(handler))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::*;

    #[tokio::test]
    async fn a_named_version_may_be_kept_and_any_other_not() {
        let stage = Stage::new().await;
        let mut visitor = stage.visitor();
        for (href, content_type) in [
            (style_href(), "text/css"),
            (script_href(), "text/javascript"),
            (live_href(), "text/javascript"),
            (icon_href(), "image/svg+xml"),
        ] {
            let answer = visitor.get(&href).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.header("content-type").starts_with(content_type));
            assert!(answer.header("cache-control").contains("immutable"), "{href}");
        }
        let answer = visitor.get("/assets/style.css?v=old").await;
        assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, "no-cache"));
    }

    #[test]
    fn the_stylesheet_needs_nothing_from_elsewhere() {
        for text in [STYLE.text, SCRIPT.text, LIVE.text, ICON.text] {
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("http") && !foreign.contains("url(") && !foreign.contains("@import"));
        }
    }
}
