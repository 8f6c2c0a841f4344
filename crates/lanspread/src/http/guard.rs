//! Admits a request only with the token from the state folder.
//!
//! Listening on loopback alone protects nothing, because every page in the user's browser can send requests there. So:
//!
//! - The `Host` must be a name of this machine, so that a foreign name that resolves to it (DNS rebinding) does not
//!   help. On a listener that the user opened to the network, addresses count as well, but no names except `localhost`.
//! - A request that a browser marks as coming from elsewhere (`Origin`, `Sec-Fetch-Site`) is refused.
//! - The token comes in a header that a foreign page cannot set without a CORS preflight, and no preflight is ever
//!   allowed. The page itself sends a cookie that scripts cannot read and that no foreign page's request carries
//!   (`HttpOnly`, `SameSite=Strict`).
//! - A request that changes something needs the header, or the cookie *and* an `Origin` that is this interface's own
//!   (CSRF).
//!
//! The page's own files hold no secrets; they need no token, only a correct `Host`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, header};
use axum::middleware::Next;
use lanspread_api::{ErrorBody, ErrorCode};

use super::refuse;

/// Guard of one listener.
#[derive(Debug)]
pub struct Guard {
    /// BLAKE3 of the token: comparing hashes takes the same time for every guess.
    token: blake3::Hash,
    /// Value of the cookie: derived from the token, and does not reveal it.
    session: String,
    port: u16,
    /// Open to the network, at the user's request.
    network: bool,
}

impl Guard {
    /// Guards a listener on `port`; `network` admits addresses as host names.
    pub fn new(token: &str, port: u16, network: bool) -> Self {
        let session = blake3::derive_key("lanspread page session v1", token.as_bytes());
        Self {
            token: blake3::hash(token.as_bytes()),
            session: blake3::Hash::from_bytes(session).to_hex().to_string(),
            port,
            network,
        }
    }

    /// Returns the cookie that replaces the token, if the token is right.
    pub fn cookie_for(&self, token: &str) -> Option<HeaderValue> {
        let right = blake3::hash(token.as_bytes()) == self.token;
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name(), self.session);
        HeaderValue::from_str(&cookie).ok().filter(|_| right)
    }

    /// Cookies ignore ports, so two peers on one machine need two names.
    fn cookie_name(&self) -> String {
        format!("lanspread-{}", self.port)
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        match text(headers, header::HOST) {
            Some(host) if self.is_here(host) => Ok(()),
            _ => Err("the Host header is not that of this machine"),
        }
    }

    fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
        self.check_host(headers)?;
        let own_origin = self.check_origin(headers)?;
        if let Some(value) = text(headers, header::AUTHORIZATION) {
            let token = value.strip_prefix("Bearer ").ok_or("the token is missing")?;
            let right = blake3::hash(token.as_bytes()) == self.token;
            return if right { Ok(()) } else { Err("the token is wrong") };
        }
        let session = self.session_in(headers).ok_or("the token is missing")?;
        if blake3::hash(session.as_bytes()) != blake3::hash(self.session.as_bytes()) {
            return Err("the token is out of date");
        }
        let reads = method == Method::GET || method == Method::HEAD;
        if reads || own_origin { Ok(()) } else { Err("the request does not say which page it comes from") }
    }

    /// Returns whether the request names this interface's own page as its origin; false if it names none.
    fn check_origin(&self, headers: &HeaderMap) -> Result<bool, &'static str> {
        const FOREIGN: &str = "the request comes from a page of another origin";
        if let Some(site) = headers.get("sec-fetch-site")
            && site != "same-origin"
            && site != "none"
        {
            return Err(FOREIGN);
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(false) };
        let host = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")).ok_or(FOREIGN)?;
        // The origin must be the very name that the request was sent to, not another name of this machine.
        if text(headers, header::HOST) == Some(host) { Ok(true) } else { Err(FOREIGN) }
    }

    fn session_in<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let name = self.cookie_name();
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Returns whether a host with a port names this machine and this listener.
    fn is_here(&self, host: &str) -> bool {
        // Browsers leave out port 80.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (host, Some(80)),
        };
        if port != Some(self.port) {
            return false;
        }
        let loopback = matches!(name, "127.0.0.1" | "[::1]") || name.eq_ignore_ascii_case("localhost");
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        loopback || (self.network && bare.parse::<IpAddr>().is_ok())
    }
}

/// Guards everything that shows or changes state: needs the token.
pub async fn admit(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response<Body> {
    match guard.check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => refuse(ErrorBody::new(ErrorCode::Unauthorized, reason)),
    }
}

/// Guards the page's own files: needs only a correct host.
pub async fn admit_by_name(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response<Body> {
    match guard.check_host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => refuse(ErrorBody::new(ErrorCode::Unauthorized, reason)),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "the-token";

    fn guard() -> Guard {
        Guard::new(TOKEN, 80, false)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("host", "127.0.0.1:80".parse().unwrap());
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    fn cookie() -> String {
        let cookie = guard().cookie_for(TOKEN).unwrap();
        cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn loopback_accepts_only_loopback_names() {
        for good in ["127.0.0.1:80", "localhost:80", "LocalHost:80", "[::1]:80", "127.0.0.1", "localhost"] {
            assert!(guard().is_here(good), "{good}");
        }
        for bad in [
            "",
            ":80",
            "127.0.0.1:81",
            "127.0.0.1:",
            "evil.example:80",
            "localhost.evil.example:80",
            "127.0.0.1.evil.example:80",
            "192.168.0.7:80",
        ] {
            assert!(!guard().is_here(bad), "{bad}");
        }
    }

    #[test]
    fn network_accepts_addresses_but_no_foreign_names() {
        let guard = Guard::new(TOKEN, 8080, true);
        for good in ["192.168.0.7:8080", "[fe80::1]:8080", "localhost:8080"] {
            assert!(guard.is_here(good), "{good}");
        }
        for bad in ["evil.example:8080", "192.168.0.7:80", "192.168.0.7.evil.example:8080", "192.168.0.7"] {
            assert!(!guard.is_here(bad), "{bad}");
        }
    }

    #[test]
    fn foreign_host_name_is_refused_even_with_token() {
        let mut headers = headers(&[("authorization", "Bearer the-token")]);
        assert_eq!(guard().check(&Method::GET, &headers), Ok(()));
        headers.insert("host", "evil.example:80".parse().unwrap());
        assert!(guard().check(&Method::GET, &headers).is_err());
        assert!(guard().check_host(&headers).is_err(), "nor the page's files");
        headers.remove("host");
        assert!(guard().check_host(&headers).is_err());
    }

    #[test]
    fn cookie_replaces_token_without_revealing_it() {
        assert!(guard().cookie_for("another").is_none());
        assert!(!cookie().contains(TOKEN));
        let given = guard().cookie_for(TOKEN).unwrap();
        let given = given.to_str().unwrap();
        assert!(given.contains("HttpOnly") && given.contains("SameSite=Strict"), "{given}");
        let read = |cookie: &str| guard().check(&Method::GET, &headers(&[("cookie", cookie)]));
        assert_eq!(read(&cookie()), Ok(()));
        assert_eq!(read(&format!("a=b; {}; c=d", cookie())), Ok(()));
        for bad in ["", "lanspread-80=", "lanspread-80=the-token", &cookie().replace("-80", "-81")] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(guard().check(&Method::GET, &headers(&[])).is_err(), "neither");
    }

    #[test]
    fn foreign_page_with_the_cookie_is_refused() {
        let cookie = cookie();
        let with = |more: &[(&'static str, &str)]| headers(&[&[("cookie", cookie.as_str())], more].concat());
        let own = ("origin", "http://127.0.0.1:80");
        assert_eq!(guard().check(&Method::POST, &with(&[own])), Ok(()));
        assert_eq!(guard().check(&Method::POST, &with(&[own, ("sec-fetch-site", "same-origin")])), Ok(()));
        for bad in [
            &[][..],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            &[("origin", "http://localhost:80")],
            &[("origin", "http://127.0.0.1:81")],
            &[("origin", "https://127.0.0.1:80")],
            &[own, ("sec-fetch-site", "cross-site")],
        ] {
            assert!(guard().check(&Method::POST, &with(bad)).is_err(), "{bad:?}");
        }
        for site in ["cross-site", "same-site", ""] {
            let read = guard().check(&Method::GET, &with(&[("sec-fetch-site", site)]));
            assert!(read.is_err(), "a page on another port of this machine: {site:?}");
        }
    }
}
