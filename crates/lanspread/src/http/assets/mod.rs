//! The page's own files, embedded in the program, and the headers that isolate the page from other sites.
//!
//! The build finds the files and leaves out comments and indentation. A development build reads them from the source
//! folder instead, so that a change shows at the next reload.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use axum::middleware::Next;

use super::guard::Guard;
use super::nothing_here;

/// Permissions of the page: it may load its own scripts, styles and pictures, and talk to its own origin. Inline code
/// is forbidden, no other site may frame the page, and no string becomes markup (Trusted Types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Serves the page. `?token=` admits the user: the token moves into a cookie and out of the address.
pub async fn index(
    State(guard): State<Arc<Guard>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let token = query.as_deref().and_then(|query| query.split('&').find_map(|p| p.strip_prefix("token=")));
    match token.and_then(|token| guard.cookie_for(token)) {
        Some(cookie) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        // A wrong token gets the same page as a missing one: the page says that it is not admitted.
        None => give("index.html", &headers).await,
    }
}

/// Serves the page's other files.
pub async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    match uri.path().strip_prefix('/') {
        Some(path) if method == Method::GET && path != "index.html" => give(path, &headers).await,
        _ => nothing_here(),
    }
}

async fn give(path: &str, headers: &HeaderMap) -> Response<Body> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else { return nothing_here() };
    let bytes = bytes_of(asset);
    let tag = format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..16]);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = Response::new(if known { Body::empty() } else { Body::from(bytes) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    // The browser asks each time and mostly hears "not modified", so a new program never meets an old page.
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    response
}

fn bytes_of(asset: &Asset) -> Cow<'static, [u8]> {
    #[cfg(debug_assertions)]
    {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/ui"));
        if let Ok(bytes) = std::fs::read(folder.join(asset.path)) {
            return bytes.into();
        }
    }
    asset.bytes.into()
}

/// Adds the headers that tell a browser what it may do with an answer.
pub async fn keep_to_itself(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod messages;
#[cfg(test)]
mod tests;
