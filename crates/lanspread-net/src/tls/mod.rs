//! TLS: the peer's key, the configuration of rustls, and bytes between rustls and the socket.

pub mod config;
pub mod identity;
pub mod outgoing;
pub mod tls_stream;
