//! Who may use the interface: whoever can read the token in the state folder, from this machine.
//!
//! Loopback alone is no guard, because every page in the user's browser can send requests there. So: the token must
//! come in a header that a foreign page cannot set without being asked first, and no such question (CORS preflight) is
//! ever answered with yes; the `Host` must be a loopback name, so that a foreign name that resolves to 127.0.0.1 (DNS
//! rebinding) does not help; and a request that a browser marks as coming from another origin is refused.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, header};
use axum::middleware::Next;
use lanspread_api::{ErrorBody, ErrorCode};

use super::{Interface, refuse};

pub async fn admit(State(interface): State<Arc<Interface>>, request: Request, next: Next) -> Response<Body> {
    match check(&interface, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => refuse(ErrorBody::new(ErrorCode::Unauthorized, reason)),
    }
}

fn check(interface: &Interface, headers: &HeaderMap) -> Result<(), &'static str> {
    if !text(headers, header::HOST).is_some_and(|host| is_loopback(host, interface.port)) {
        return Err("the Host header is not that of this machine");
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let host = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        if !host.is_some_and(|host| is_loopback(host, interface.port)) {
            return Err("the request comes from a page of another origin");
        }
    }
    let token = text(headers, header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    match token {
        Some(token) if blake3::hash(token.as_bytes()) == interface.token => Ok(()),
        Some(_) => Err("the token is wrong"),
        None => Err("the token is missing"),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a host with a port is this machine and this interface.
fn is_loopback(host: &str, port: u16) -> bool {
    let Some((name, stated)) = host.rsplit_once(':') else { return false };
    let is_port = stated.parse() == Ok(port);
    is_port && (matches!(name, "127.0.0.1" | "[::1]") || name.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_count() {
        for good in ["127.0.0.1:80", "localhost:80", "LocalHost:80", "[::1]:80"] {
            assert!(is_loopback(good, 80), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1",
            "127.0.0.1:81",
            "evil.example:80",
            "localhost.evil.example:80",
            "192.168.0.7:80",
        ] {
            assert!(!is_loopback(bad, 80), "{bad}");
        }
    }
}
