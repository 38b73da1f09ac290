//! The stylesheet: one file, cached by browsers until its content changes.

use std::sync::LazyLock;

use lambda_http::http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// Its address, which names its content.
static HREF: LazyLock<String> = LazyLock::new(|| {
    let hash = Sha256::digest(STYLE.as_bytes());
    let hash: String = hash
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("/console/style.css?v={hash}")
});

/// The path that pages name.
pub(crate) fn href() -> &'static str {
    &HREF
}

pub(crate) fn answer() -> Response<String> {
    let mut answer = Response::new(STYLE.to_owned());
    for (name, value) in [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        // Its address changes with it. A cache between us and the browser has no business with what
        // needs a token.
        (CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}
