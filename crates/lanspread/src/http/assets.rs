//! The page's own files, embedded in the program, and the headers that isolate the page from other sites.
//!
//! The build leaves out comments and indentation. A development build reads the files from the source folder instead, so
//! that a change shows at the next reload.

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

macro_rules! assets {
    ($($name:literal $kind:literal)*) => {
        const ASSETS: &[Asset] = &[$(Asset {
            path: $name,
            kind: $kind,
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/ui/", $name)),
        }),*];
    };
}

assets! {
    "index.html" "text/html; charset=utf-8"
    "app.css" "text/css; charset=utf-8"
    "icon.svg" "image/svg+xml"
    "app.js" "text/javascript; charset=utf-8"
    "api.js" "text/javascript; charset=utf-8"
    "covers.js" "text/javascript; charset=utf-8"
    "dialogs.js" "text/javascript; charset=utf-8"
    "dom.js" "text/javascript; charset=utf-8"
    "downloads.js" "text/javascript; charset=utf-8"
    "first-run.js" "text/javascript; charset=utf-8"
    "format.js" "text/javascript; charset=utf-8"
    "game.js" "text/javascript; charset=utf-8"
    "german.js" "text/javascript; charset=utf-8"
    "library.js" "text/javascript; charset=utf-8"
    "organiser.js" "text/javascript; charset=utf-8"
    "plot.js" "text/javascript; charset=utf-8"
    "room.js" "text/javascript; charset=utf-8"
    "sentences.js" "text/javascript; charset=utf-8"
    "settings.js" "text/javascript; charset=utf-8"
    "state.js" "text/javascript; charset=utf-8"
    "steps.js" "text/javascript; charset=utf-8"
    "trust.js" "text/javascript; charset=utf-8"
    "words.js" "text/javascript; charset=utf-8"
    "licences.txt" "text/plain; charset=utf-8"
}

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
mod tests {
    use super::*;

    /// Limit for all files but the licences, so that the page opens at once on the weakest machine of the room: 85 ms
    /// on a link of 16 Mbit/s.
    const PAGE_BYTES_MAX: usize = 170_000;

    #[test]
    fn page_is_light() {
        let bytes: usize = ASSETS.iter().filter(|a| a.path != "licences.txt").map(|a| a.bytes.len()).sum();
        assert!(bytes <= PAGE_BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn embedded_files_have_all_code_and_no_comments() {
        for asset in ASSETS.iter().filter(|a| a.path.ends_with(".js") || a.path.ends_with(".css")) {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/ui/");
            let source = std::fs::read_to_string(format!("{source}{}", asset.path)).unwrap();
            let embedded = std::str::from_utf8(asset.bytes).unwrap();
            let mut left = embedded.lines();
            for line in source.lines().map(str::trim) {
                // A text that crosses a line would lose its indentation.
                assert!(line.matches('`').count().is_multiple_of(2), "{}: {line}", asset.path);
                let comment = ["//", "/*", "*"].iter().any(|mark| line.starts_with(mark));
                let selector = line.starts_with("*,");
                if !line.is_empty() && (!comment || selector) {
                    assert_eq!(left.next(), Some(line), "{}", asset.path);
                }
            }
            assert_eq!(left.next(), None, "{}", asset.path);
        }
    }

    #[test]
    fn every_page_file_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !name.ends_with(".json") && !name.ends_with(".d.ts"))
            .collect();
        let mut embedded: Vec<_> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        found.sort();
        embedded.sort();
        assert_eq!(found, embedded);
    }

    #[test]
    fn page_has_nothing_inline_or_foreign() {
        for asset in ASSETS.iter().filter(|asset| !asset.path.ends_with(".txt")) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for forbidden in ["<style", "style=\"", "onclick=", "innerHTML", "eval(", "javascript:"] {
                assert!(!text.contains(forbidden), "{} has {forbidden}", asset.path);
            }
            let foreign = text.match_indices("http").map(|(at, _)| &text[at..]).find(|rest| {
                (rest.starts_with("http://") || rest.starts_with("https://"))
                    && !rest.starts_with("http://www.w3.org/2000/svg")
            });
            assert_eq!(foreign.map(|rest| &rest[..rest.len().min(60)]), None, "{}", asset.path);
        }
    }

    /// The texts that a script passes to `t` and `count`.
    fn texts(script: &str) -> Vec<&str> {
        let mut found = Vec::new();
        for (at, _) in script.match_indices("t('") {
            let before = script[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '.') && !script[..at].ends_with("coun") {
                continue;
            }
            found.extend(script[at + 3..].split_once('\'').map(|(text, _)| text));
        }
        for (at, _) in script.match_indices("count(") {
            let line = script[at..].lines().next().unwrap_or_default();
            // The two texts are the first two literals after the number.
            found.extend(line.split('\'').skip(1).step_by(2).take(2));
        }
        found
    }

    #[test]
    fn every_text_has_a_german_translation() {
        let german = ASSETS.iter().find(|asset| asset.path == "german.js").unwrap().bytes;
        let german = std::str::from_utf8(german).unwrap();
        let scripts = ASSETS.iter().filter(|a| a.path.ends_with(".js") && a.path != "german.js");
        const SAME: [&str; 17] = [
            "Downloads",
            "Updates",
            "Name",
            "Genre",
            "Filter",
            "ID",
            "Limits",
            "Passphrase",
            "{n} PC",
            "{n} PCs",
            "{n} s",
            "{m} min {s} s",
            "{h} h {m} min",
            "Normal",
            "Pause",
            "Version",
            "Party",
        ];
        let mut said = 0;
        for asset in scripts {
            for text in texts(std::str::from_utf8(asset.bytes).unwrap()) {
                said += 1;
                let known = SAME.contains(&text) || german.contains(&format!("'{text}': '"));
                assert!(known, "{}: {text:?}", asset.path);
            }
        }
        assert!(said > 200, "only {said} texts were found");
    }
}
