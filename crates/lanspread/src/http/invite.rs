//! Hands this program out to guests over a second listener, which is off until the user opens it.
//!
//! The listener accepts connections on all addresses and needs no token, because a guest has none. It serves a page
//! of instructions and the program, nothing else. The program's file name carries this peer's address and the
//! organiser's key, so the started program joins this peer ([`crate::join`]). The listener closes when the user says
//! so, and with the program.
//!
//! It speaks plain HTTP, so a machine in between can change what a guest gets. The host's own screen shows the
//! program's hashes as well: a guest who compares them there need not trust the network.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::Redirect;
use axum::routing::get;
use futures_core::Stream;
use lanspread_api::page::{Invitation, InvitationOrder, Picture, ProgramHashes};
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::catalog::CatalogMode;
use lanspread_peer::command::{Command, Reply};
use lanspread_peer::contract::ToContract;
use lanspread_types::fingerprint::groups;
use qrcodegen::{QrCode, QrCodeEcc};
use ring::digest;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::limits::{
    INVITE_CONNECTIONS_MAX, INVITE_CONNECTIONS_PER_ADDRESS_MAX, INVITE_GUESTS_MAX, INVITE_PIECE_BYTES,
    INVITE_PIECES_MAX, INVITE_TIME_MAX,
};
use super::serving::{self, Bounds};
use super::{Interface, assets, give, page};
use crate::join::Joining;

/// Preferred port of the guests' listener, next to the page's own.
const PORT: u16 = 24_932;

/// The guests' listener, if it is open. Dropping this closes it.
#[derive(Debug, Default)]
pub struct Inviting(Mutex<Option<Open>>);

#[derive(Debug)]
struct Open {
    addr: SocketAddr,
    giving: Arc<Giving>,
    serving: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// `GET /api/v1/invitation`.
pub async fn show(State(interface): State<Arc<Interface>>) -> Response<Body> {
    let open = interface.inviting.0.lock().await;
    give(Ok(invitation(open.as_ref())))
}

/// `POST /api/v1/invitation`.
pub async fn change(State(interface): State<Arc<Interface>>, body: page::Sent) -> Response<Body> {
    let order: Result<InvitationOrder, _> = page::parse(body);
    give(match order {
        Ok(order) => set(&interface, order.open).await,
        Err(error) => Err(error),
    })
}

async fn set(interface: &Interface, wanted: bool) -> Result<Invitation, ErrorBody> {
    let mut open = interface.inviting.0.lock().await;
    if !wanted {
        *open = None;
    } else if open.is_none() {
        let status = interface.host.peer_soon().await?.command(Command::Status).await;
        let Reply::Status(status) = status.map_err(|e| e.to_contract())? else {
            return Err(ErrorBody::new(ErrorCode::Internal, "the peer answered something else"));
        };
        let failed =
            |e: io::Error| ErrorBody::new(ErrorCode::ListenFailed, format!("cannot listen for guests: {e}"));
        let organiser = match status.catalog {
            CatalogMode::Signed { key, .. } | CatalogMode::Awaited { key } => Some(key),
            CatalogMode::Open | CatalogMode::Unsigned { .. } => None,
        };
        *open = Some(door(Joining { peer: status.addr, organiser }).await.map_err(failed)?);
    }
    Ok(invitation(open.as_ref()))
}

async fn door(joining: Joining) -> io::Result<Open> {
    let program = std::env::current_exe()?;
    let hashed = program.clone();
    let hashes =
        tokio::task::spawn_blocking(move || hashes_of(&hashed)).await.map_err(io::Error::other)??;
    let listener = match TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?,
    };
    let addr = SocketAddr::new(joining.peer.ip(), listener.local_addr()?.port());
    let giving = Arc::new(Giving {
        program,
        name: joining.file_name(),
        joining,
        hashes,
        guests: Arc::new(Semaphore::new(INVITE_GUESTS_MAX)),
    });
    let router = Router::new()
        .route("/", get(welcome))
        .route(
            "/program",
            get(|State(giving): State<Arc<Giving>>| async move { Redirect::to(&giving.path()) }),
        )
        .route("/program/{name}", get(program_file))
        .layer(from_fn(assets::keep_to_itself))
        .with_state(giving.clone());
    let serving = tokio::spawn(async move {
        let bounds = Bounds::new(INVITE_CONNECTIONS_MAX, INVITE_CONNECTIONS_PER_ADDRESS_MAX);
        serving::serve(listener, router, bounds, std::future::pending()).await;
    });
    Ok(Open { addr, giving, serving: serving.abort_handle() })
}

fn invitation(open: Option<&Open>) -> Invitation {
    let organiser = open.and_then(|open| open.giving.joining.organiser);
    let address = open.map(|open| format!("http://{}/", open.addr));
    let key = organiser.map(|key| format!("?organiser={key}")).unwrap_or_default();
    let link = address.as_deref().map(|address| format!("{address}{key}"));
    Invitation {
        picture: link.as_deref().and_then(picture),
        address,
        link,
        system: system(),
        program: open.map(|open| open.giving.hashes.clone()),
        organiser: organiser.map(|key| key.fingerprint().to_string()),
    }
}

/// Returns the program's hashes in groups of digits, as `b3sum` and `sha256sum` compute them.
fn hashes_of(program: &Path) -> io::Result<ProgramHashes> {
    let mut file = std::fs::File::open(program)?;
    let (mut blake3, mut sha256) = (blake3::Hasher::new(), digest::Context::new(&digest::SHA256));
    let mut piece = vec![0; INVITE_PIECE_BYTES];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            break;
        }
        blake3.update(&piece[..n]);
        sha256.update(&piece[..n]);
    }
    let sha256: String = sha256.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(ProgramHashes { blake3: groups(&blake3.finalize().to_hex(), " "), sha256: groups(&sha256, " ") })
}

/// Draws the address as a QR code (ISO/IEC 18004): one path of unit squares.
fn picture(text: &str) -> Option<Picture> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            path.push_str(&format!("M{x} {y}h1v1h-1z"));
        }
    }
    Some(Picture { size: u32::try_from(code.size()).ok()?, path })
}

/// System that the program runs on, such as `linux x86_64`.
fn system() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

#[derive(Debug)]
struct Giving {
    program: PathBuf,
    joining: Joining,
    hashes: ProgramHashes,
    /// File name of the guest's copy.
    name: String,
    guests: Arc<Semaphore>,
}

impl Giving {
    fn path(&self) -> String {
        format!("/program/{}", self.name)
    }
}

/// Query that a link may carry.
#[derive(Debug, Deserialize)]
struct Link {
    organiser: Option<String>,
}

/// The guest's page. It holds only our own words and our own file name, so nothing in it comes from other people.
async fn welcome(State(giving): State<Arc<Giving>>, Query(link): Query<Link>) -> Response<Body> {
    let (system, name, hashes) = (system(), &giving.name, &giving.hashes);
    let compare = if cfg!(windows) {
        format!("<code>certutil -hashfile {name} SHA256</code> or <code>b3sum {name}</code>")
    } else {
        format!("<code>sha256sum {name}</code> or <code>b3sum {name}</code>")
    };
    let organiser = match giving.joining.organiser {
        None => String::new(),
        Some(key) => {
            let other = link.organiser.is_some_and(|named| named != key.to_string());
            let warning = if other {
                "<p><b>The link that brought you here names another organiser. Ask before you continue.</b>"
            } else {
                ""
            };
            format!(
                "{warning}<p>This party's organiser is <code>{}</code>. The program asks once whether you trust it; \
                 compare it with what the host's screen shows.",
                key.fingerprint()
            )
        }
    };
    let start = if cfg!(windows) {
        "<p>Open it. If Windows warns about an unknown publisher: <em>More info</em>, then <em>Run anyway</em>.".to_owned()
    } else {
        format!("<p>Then, in a terminal: <code>chmod +x {name} &amp;&amp; ./{name}</code>")
    };
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>lanspread</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"dark light\">\
         <h1>lanspread</h1><p>Share games with everyone in the room. This program is for <b>{system}</b>.\
         <p><a href=\"/program\" download>Download {name}</a>\
         {start}<p>It joins the room by itself. Keep its file name until then: it contains the address.{organiser}\
         <h2>Is it the right program?</h2><p>Run {compare}. The result must match the \
         digits on the host's screen. If it differs, do not start the program.\
         <p>BLAKE3: <code>{}</code><p>SHA-256: <code>{}</code>",
        hashes.blake3, hashes.sha256
    );
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

async fn program_file(State(giving): State<Arc<Giving>>) -> Response<Body> {
    let plain = |status| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    };
    let Ok(guest) = giving.guests.clone().try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE);
    };
    let opened = tokio::fs::File::open(&giving.program).await;
    let (Ok(mut file), Ok(size)) = (opened, std::fs::metadata(&giving.program).map(|m| m.len())) else {
        return plain(StatusCode::NOT_FOUND);
    };
    let (sender, pieces) = mpsc::channel(INVITE_PIECES_MAX);
    let sending = async move {
        loop {
            let mut piece = vec![0; INVITE_PIECE_BYTES];
            let read = file.read(&mut piece).await;
            let piece = match read {
                Ok(0) => return,
                Ok(n) => {
                    piece.truncate(n);
                    Ok(Bytes::from(piece))
                }
                Err(e) => Err(e),
            };
            let failed = piece.is_err();
            if sender.send(piece).await.is_err() || failed {
                return;
            }
        }
    };
    tokio::spawn(async move {
        // A guest that reads drop by drop must not keep its place for ever.
        let _ = timeout(INVITE_TIME_MAX, sending).await;
        drop(guest);
    });
    let mut response = Response::new(Body::from_stream(Pieces(pieces)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    response
}

struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::CatalogKey;

    use super::*;

    #[test]
    fn qr_code_is_square_with_its_corners() {
        let picture = picture("http://192.168.0.7:24932/").unwrap();
        assert!(picture.size >= 21 && picture.path.starts_with("M0 0h1v1h-1z"));
        let last = format!("M{} 0h1v1h-1z", picture.size - 1);
        assert!(picture.path.contains(&last), "the finder pattern at the right");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_guest_gets_this_very_program_and_nothing_else() {
        let organiser = CatalogKey([7; 32]);
        let peer = "127.0.0.1:4000".parse().unwrap();
        let open = door(Joining { peer, organiser: Some(organiser) }).await.unwrap();
        let fetch = |path: &str| {
            let url = format!("http://{}{path}", open.addr);
            tokio::task::spawn_blocking(move || {
                let agent: ureq::Agent =
                    ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().into();
                let mut answer = agent.get(url).call().unwrap();
                let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
                (answer.status().as_u16(), body)
            })
        };
        let (status, program) = fetch("/program").await.unwrap();
        assert_eq!(status, 200);
        assert!(program == std::fs::read(std::env::current_exe().unwrap()).unwrap());
        let page = String::from_utf8(fetch("/").await.unwrap().1).unwrap();
        assert!(page.contains(&format!("lanspread-join-127.0.0.1-4000-{organiser}")));
        let told = invitation(Some(&open));
        assert_eq!(told.organiser, Some(organiser.fingerprint().to_string()));
        let link = told.link.unwrap();
        assert!(link.ends_with(&format!("/?organiser={organiser}")), "{link}");
        let hash = groups(&blake3::hash(&program).to_hex(), " ");
        let hashes = told.program.unwrap();
        assert_eq!(hashes.blake3, hash);
        for shown in [&hash, &hashes.sha256, &organiser.fingerprint().to_string()] {
            assert!(page.contains(shown), "no {shown} on the guest's page");
        }
        assert!(!page.contains("another organiser"));
        let other = format!("/?organiser={}", CatalogKey([8; 32]));
        let warned = String::from_utf8(fetch(&other).await.unwrap().1).unwrap();
        assert!(warned.contains("another organiser"));
        for path in ["/api/v1/status", "/app.js", "/metrics", "/program/../api.json"] {
            assert_eq!(fetch(path).await.unwrap().0, 404, "{path}");
        }
        let addr = open.addr;
        drop(open);
        let gone = async {
            while tokio::net::TcpStream::connect(addr).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("the door stays open");
    }
}
