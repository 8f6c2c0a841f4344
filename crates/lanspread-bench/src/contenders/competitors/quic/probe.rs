//! The QUIC transfer of the probe: sender, receiver and their TLS settings.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context, Result, anyhow};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, ServerConfig, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, DigitallySignedStruct, SignatureScheme};

const WINDOW_BYTES: u32 = 16 << 20;
const READ_BYTES: usize = 1 << 20;
/// Most pieces that wait for the hashing thread.
const PIECES_MAX: usize = 64;

/// Sends the file to every client that connects.
pub fn serve(addr: SocketAddr, file: &Path) -> Result<()> {
    runtime()?.block_on(async {
        let endpoint = Endpoint::server(server_config()?, addr)?;
        writeln!(std::io::stdout(), "ready")?;
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(send(incoming, file.to_owned()));
        }
        Ok(())
    })
}

async fn send(incoming: quinn::Incoming, file: PathBuf) -> Result<()> {
    let connection = incoming.await?;
    let mut stream = connection.open_uni().await?;
    let mut file = File::open(file)?;
    loop {
        let mut block = vec![0; READ_BYTES];
        match file.read(&mut block)? {
            0 => break,
            n => block.truncate(n),
        }
        stream.write_chunk(block.into()).await?;
    }
    stream.finish()?;
    stream.stopped().await?;
    Ok(())
}

/// Receives the file; another thread hashes and writes it.
pub fn fetch(addr: SocketAddr, file: &Path) -> Result<()> {
    let (pieces, arrived) = sync_channel(PIECES_MAX);
    let file = File::create(file)?;
    let writing = thread::spawn(move || write(file, &arrived));
    runtime()?.block_on(async {
        let mut endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
        endpoint.set_default_client_config(client_config()?);
        let connection = endpoint.connect(addr, "peer")?.await?;
        let mut stream = connection.accept_uni().await?;
        while let Some(chunk) = stream.read_chunk(READ_BYTES, true).await? {
            tokio::task::block_in_place(|| pieces.send(chunk.bytes)).context("the writer has ended")?;
        }
        drop(pieces);
        connection.close(VarInt::from_u32(0), b"");
        anyhow::Ok(())
    })?;
    writing.join().map_err(|_| anyhow!("the writer panicked"))?
}

fn write(mut file: File, arrived: &Receiver<impl AsRef<[u8]>>) -> Result<()> {
    let mut hasher = blake3::Hasher::new();
    while let Ok(piece) = arrived.recv() {
        hasher.update(piece.as_ref());
        file.write_all(piece.as_ref())?;
    }
    std::hint::black_box(hasher.finalize());
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(WINDOW_BYTES.into());
    transport.receive_window((4 * WINDOW_BYTES).into());
    transport.send_window(u64::from(4 * WINDOW_BYTES));
    Arc::new(transport)
}

/// Prefers the cheapest cipher suite, like our own transport.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

fn server_config() -> Result<ServerConfig> {
    let random = ring::rand::SystemRandom::new();
    let key = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| anyhow!("no key"))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_ref().to_vec()));
    let key = provider().key_provider.load_private_key(key)?;
    let spki = key.public_key().context("the key has no public part")?.as_ref().to_vec();
    let key = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key));
    let tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport());
    Ok(config)
}

fn client_config() -> Result<ClientConfig> {
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey))
        .with_no_client_auth();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport());
    Ok(config)
}

/// Accepts any key.
#[derive(Debug)]
struct AnyKey;

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
