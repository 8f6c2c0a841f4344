//! `lanspread run`: a peer, its HTTP interface, and what happens in plain words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lanspread_api::{ErrorBody, ErrorCode, Line, render};
use lanspread_peer::command::{Command, RateLimits};
use lanspread_peer::{EventStream, PeerConfig, PeerHandle, catalog::Catalog, catalog_file};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::RunArgs;
use crate::client::Client;
use crate::place::ApiFile;
use crate::show::{Live, Screen};
use crate::{address, http, signal};

/// How long the interface may take to send its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs a peer until it is told to stop.
pub async fn run(args: RunArgs, state_dir: PathBuf, json: bool) -> Result<(), ErrorBody> {
    refuse_second(&state_dir).await?;
    refuse_missing(&args.games_dir)?;
    let connect = args.connect.iter().map(|text| address::resolve(text)).collect::<Result<Vec<_>, _>>()?;
    let asked_port = args.listen.port();
    let peer = lanspread_peer::start(config(args, &state_dir)?).await.map_err(|e| ErrorBody::from(&e))?;
    let interface = match Interface::open(&peer.handle, &state_dir).await {
        Ok(interface) => interface,
        Err(error) => {
            let _ = peer.handle.command(Command::Shutdown).await;
            peer.ended().await;
            return Err(error);
        }
    };
    let screen = if json { Screen::quiet() } else { Screen::default() };
    if !json && asked_port != 0 && peer.addr.port() != asked_port {
        screen
            .note(format!("Port {asked_port} is in use, so this peer listens on port {}.", peer.addr.port()));
    }
    let handle = peer.handle.clone();
    for addr in connect {
        tokio::spawn(connect_to(handle.clone(), addr, screen.clone()));
    }
    tokio::spawn(stop_on_interrupt(handle, screen.clone()));
    follow(peer, screen, json).await;
    interface.close(&state_dir).await;
    Ok(())
}

/// Shows the peer's events until it has ended.
async fn follow(mut peer: lanspread_peer::RunningPeer, screen: Screen, json: bool) {
    if json {
        screen
            .say(Line::Event(render::contract(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))).to_json());
    }
    show(&mut peer.events, &screen, json).await;
    peer.ended().await;
    if !json {
        screen.say("Goodbye.");
    }
}

async fn show(events: &mut EventStream, screen: &Screen, json: bool) {
    let mut live = Live::new(screen.clone());
    while let Some(streamed) = events.next().await {
        let event = render::streamed(&streamed);
        if json {
            screen.say(Line::Event(event).to_json());
        } else {
            live.show(&event);
        }
    }
}

fn config(args: RunArgs, state_dir: &Path) -> Result<PeerConfig, ErrorBody> {
    let catalog = match &args.catalog {
        None => Catalog::Open,
        Some(path) => catalog_file::load(path).map_err(|e| ErrorBody::from(&e))?,
    };
    Ok(PeerConfig {
        games_dir: args.games_dir,
        state_dir: state_dir.to_owned(),
        listen: args.listen,
        port_fallback: true,
        name: args.name,
        catalog,
        limits: RateLimits { upload: args.upload_limit, download: args.download_limit },
    })
}

/// Two peers on one state folder would be one identity twice.
async fn refuse_second(state_dir: &Path) -> Result<(), ErrorBody> {
    let dir = state_dir.to_owned();
    let running = tokio::task::spawn_blocking(move || Client::find(&dir).is_ok()).await.unwrap_or(false);
    if !running {
        return Ok(());
    }
    let message = format!("a peer is already running with the state folder {}", state_dir.display());
    let mut error = ErrorBody::new(ErrorCode::StateDirUnusable, message);
    error.hint = Some("stop it with `lanspread stop`, or give this one its own --state-dir".to_owned());
    Err(error)
}

/// A misspelt folder must not become a new and empty library.
fn refuse_missing(games_dir: &Path) -> Result<(), ErrorBody> {
    if games_dir.is_dir() {
        return Ok(());
    }
    let message = format!("the games folder {} does not exist", games_dir.display());
    let mut error = ErrorBody::new(ErrorCode::GamesDirUnusable, message);
    error.hint = Some("make it first, or check how it is spelt".to_owned());
    Err(error)
}

async fn connect_to(peer: PeerHandle, addr: std::net::SocketAddr, screen: Screen) {
    if let Err(error) = peer.command(Command::Connect { addr }).await {
        let error = ErrorBody::from(&error);
        screen.note(format!("Not connected: {}.", error.message));
        if let Some(hint) = error.hint {
            screen.note(format!("hint: {hint}"));
        }
    }
}

async fn stop_on_interrupt(peer: PeerHandle, screen: Screen) {
    signal::interrupted().await;
    screen.note("Saying goodbye to everybody; Ctrl-C again ends at once.");
    tokio::spawn(async {
        signal::interrupted().await;
        signal::end_at_once();
    });
    let _ = peer.command(Command::Shutdown).await;
}

/// The HTTP interface of this run, and the file that tells where it is.
struct Interface {
    file: ApiFile,
    serving: JoinHandle<std::io::Result<()>>,
    end: watch::Sender<bool>,
}

impl Interface {
    async fn open(peer: &PeerHandle, state_dir: &Path) -> Result<Self, ErrorBody> {
        let failed = |what: &str, e: std::io::Error| {
            ErrorBody::new(ErrorCode::StateDirUnusable, format!("{what}: {e}"))
        };
        let (listener, addr) =
            http::bind().await.map_err(|e| failed("the interface for commands cannot listen", e))?;
        let file = ApiFile::new(addr).map_err(|e| failed("the token cannot be made", e))?;
        file.write(state_dir).map_err(|e| failed("the state folder cannot be written", e))?;
        let (end, ending) = watch::channel(false);
        let (peer, dir, token) = (peer.clone(), state_dir.to_owned(), file.token.clone());
        let serving = tokio::spawn(async move { http::serve(listener, peer, dir, &token, ending).await });
        Ok(Self { file, serving, end })
    }

    async fn close(self, state_dir: &Path) {
        if let Err(e) = self.file.remove(state_dir) {
            tracing::warn!("api.json could not be removed: {e}");
        }
        let _ = self.end.send(true);
        let _ = tokio::time::timeout(LAST_ANSWERS, self.serving).await;
    }
}
