//! TLS settings of this protocol: version 1.3 only, raw Ed25519 public keys on both sides (RFC 7250), no names, no
//! certificates, no session tickets.
//!
//! Each side proves that it holds the key that it shows. Which keys may connect is decided elsewhere, except on a data
//! connection, which expects one particular peer.

use std::sync::Arc;

use lanspread_types::PeerId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};

use crate::tls::identity::{Identity, peer_id_of};

/// ALPN name, which later protocol versions keep. It stands for the part of a connection that never changes: TLS, the
/// preamble and the first bytes of the hello. If each version had its own name, TLS would reject a peer of another
/// version before either side learned the other's version.
const ALPN: &[u8] = b"lanspread/1";

/// TLS settings of one identity.
#[derive(Debug, Clone)]
pub(crate) struct TlsConfigs {
    provider: Arc<CryptoProvider>,
    key: Arc<CertifiedKey>,
    /// For inbound connections; accepts any key.
    pub(crate) server: Arc<ServerConfig>,
    /// For dials; accepts whichever peer answers.
    pub(crate) any_peer: Arc<ClientConfig>,
}

impl TlsConfigs {
    /// Makes the settings of an identity.
    pub(crate) fn new(identity: &Identity) -> Result<Self, Error> {
        let provider = Arc::new(provider());
        let key = identity.signing_key();
        let spki = key.public_key().ok_or(Error::General("the key has no public part".into()))?;
        let key = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki.as_ref().to_vec())], key));
        let server = Arc::new(server_config(&provider, &key)?);
        let any_peer = Arc::new(client_config(&provider, &key, None)?);
        Ok(Self { provider, key, server, any_peer })
    }

    /// Returns settings for a dial that accept only this peer.
    pub(crate) fn only_peer(&self, peer: PeerId) -> Result<Arc<ClientConfig>, Error> {
        client_config(&self.provider, &self.key, Some(peer)).map(Arc::new)
    }

    #[cfg(test)]
    pub(crate) fn with_provider(&self, provider: Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
        client_config(&provider, &self.key, None)
    }
}

/// Returns the cipher suites, with AES-128-GCM first if the CPU has instructions for AES and for the multiplication of
/// GCM. Without them it would be several times slower than ChaCha20-Poly1305, and open to timing attacks.
fn provider() -> CryptoProvider {
    let first = if cpu_has_aes() {
        CipherSuite::TLS13_AES_128_GCM_SHA256
    } else {
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
    };
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != first);
    provider
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn cpu_has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn cpu_has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_has_aes() -> bool {
    false
}

fn server_config(provider: &Arc<CryptoProvider>, key: &Arc<CertifiedKey>) -> Result<ServerConfig, Error> {
    let verifier = RawKeyVerifier { expect: None, algorithms: provider.signature_verification_algorithms };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    key: &Arc<CertifiedKey>,
    expect: Option<PeerId>,
) -> Result<ClientConfig, Error> {
    let verifier = RawKeyVerifier { expect, algorithms: provider.signature_verification_algorithms };
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// Error text of the dialling side when a different peer from the expected one answers.
pub(crate) const OTHER_PEER: &str = "another peer answers at that address";

/// Verifier that accepts a raw Ed25519 key whose owner signs the handshake.
#[derive(Debug)]
struct RawKeyVerifier {
    /// The only peer to accept; `None` accepts every peer.
    expect: Option<PeerId>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl RawKeyVerifier {
    fn check_key(&self, spki: &[u8]) -> Result<(), Error> {
        let peer = peer_id_of(spki).ok_or(Error::General("the peer's key is not an Ed25519 key".into()))?;
        match self.expect {
            Some(expected) if expected != peer => Err(Error::General(OTHER_PEER.into())),
            _ => Ok(()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(spki.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

fn only_tls13() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("only TLS 1.3 is supported".into()))
}

/// Implements the methods that [`ServerCertVerifier`] and [`ClientCertVerifier`] have in common.
macro_rules! raw_key_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            only_tls13()
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.check_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for RawKeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_key(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    raw_key_signatures!();
}

impl ClientCertVerifier for RawKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_key(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    raw_key_signatures!();
}
