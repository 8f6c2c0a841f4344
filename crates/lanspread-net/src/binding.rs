//! The channel binding of a TLS session: 32 bytes that both ends of this very session know, and nobody else.
//!
//! It is `tls-exporter` of RFC 9266: the exporter of RFC 8446, section 7.5, with the label `EXPORTER-Channel-Binding`
//! and an empty context. rustls does not offer the exporter on the connections that run on our buffers, but it hands
//! the exporter's secret to a key log, so each session of a closed party gets a key log of its own that keeps this one
//! secret and writes nothing.

use std::sync::{Arc, Mutex};

use ring::digest;
use ring::hkdf::{HKDF_SHA256, HKDF_SHA384, KeyType, Prk};
use rustls::KeyLog;

use crate::inbox::lock;

const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
pub(crate) const BINDING_BYTES: usize = 32;

/// Keeps the exporter secret of one session.
#[derive(Default)]
pub(crate) struct Tap(Mutex<Option<Vec<u8>>>);

impl Tap {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The binding, once the handshake is done.
    pub(crate) fn binding(&self) -> Option<[u8; BINDING_BYTES]> {
        let secret = lock(&self.0).take()?;
        export(&secret, LABEL)
    }
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tap(hidden)")
    }
}

/// The name that NSS gave the secret (its key log format).
const EXPORTER_SECRET: &str = "EXPORTER_SECRET";

impl KeyLog for Tap {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == EXPORTER_SECRET {
            *lock(&self.0) = Some(secret.to_vec());
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == EXPORTER_SECRET
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `TLS-Exporter(label, "", 32)`; the hash is the cipher suite's, which the secret's length tells.
fn export(secret: &[u8], label: &[u8]) -> Option<[u8; BINDING_BYTES]> {
    let (hkdf, hash) = match secret.len() {
        32 => (HKDF_SHA256, &digest::SHA256),
        48 => (HKDF_SHA384, &digest::SHA384),
        _ => return None,
    };
    let empty = digest::digest(hash, b"");
    let derived = expand_label(&Prk::new_less_safe(hkdf, secret), label, empty.as_ref(), secret.len())?;
    let binding =
        expand_label(&Prk::new_less_safe(hkdf, &derived), b"exporter", empty.as_ref(), BINDING_BYTES)?;
    binding.try_into().ok()
}

/// `HKDF-Expand-Label` of RFC 8446, section 7.1.
fn expand_label(prk: &Prk, label: &[u8], context: &[u8], len: usize) -> Option<Vec<u8>> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(len).ok()?.to_be_bytes();
    let label_len = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let context_len = [u8::try_from(context.len()).ok()?];
    let info = [&length[..], &label_len, PREFIX, label, &context_len, context];
    let mut out = vec![0; len];
    prk.expand(&info, Length(len)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use rustls::{ClientConnection, ServerConnection};

    use super::*;
    use crate::Identity;
    use crate::tls::TlsConfigs;

    /// The same sessions through the connections of rustls that have an exporter.
    #[test]
    fn the_binding_is_what_rustls_exports() {
        let tls = |_| TlsConfigs::new(&Identity::generate().unwrap()).unwrap();
        let [ann, bob] = [0, 1].map(tls);
        let mut seen = Vec::new();
        for suite in ann.any_peer.crypto_provider().cipher_suites.clone() {
            let (mut client_config, tap) = ann.tapped_client();
            let (server_config, _) = bob.tapped_server();
            let provider = rustls::crypto::CryptoProvider {
                cipher_suites: vec![suite],
                ..(**ann.any_peer.crypto_provider()).clone()
            };
            if suite.tls13().is_none() {
                continue;
            }
            client_config = {
                let mut config = ann.with_provider(Arc::new(provider)).unwrap();
                config.key_log = Arc::clone(&client_config.key_log);
                Arc::new(config)
            };
            let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
            let mut client = ClientConnection::new(client_config, name).unwrap();
            let mut server = ServerConnection::new(server_config).unwrap();
            while client.is_handshaking() || server.is_handshaking() {
                let mut wire = Vec::new();
                client.write_tls(&mut wire).unwrap();
                server.read_tls(&mut &wire[..]).unwrap();
                server.process_new_packets().unwrap();
                wire.clear();
                server.write_tls(&mut wire).unwrap();
                client.read_tls(&mut &wire[..]).unwrap();
                client.process_new_packets().unwrap();
            }
            let expected = server.export_keying_material([0; 32], LABEL, None).unwrap();
            assert_eq!(tap.binding(), Some(expected), "{:?}", suite.suite());
            assert_eq!(tap.binding(), None, "the secret is not kept");
            seen.push(expected);
        }
        assert!(seen.len() >= 3);
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() >= 3, "each session has its own");
    }
}
