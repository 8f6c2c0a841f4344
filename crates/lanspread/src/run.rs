//! Runs a peer for `lanspread` and `lanspread run`: its HTTP interface with the page, and its events as text.
//!
//! It starts the peers that [`Host`] asks for, one after the other, and holds the lock of the state folder all the
//! while.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lanspread_api::{ErrorBody, ErrorCode, Event, Line};
use lanspread_peer::catalog::Catalog;
use lanspread_peer::catalog::choice::{self, CatalogChoice, CatalogWish};
use lanspread_peer::command::{Command, RateLimits};
use lanspread_peer::contract::ToContract;
use lanspread_peer::{EventStream, Find, FolderLock, PeerConfig, PeerHandle};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::address::DEFAULT_PORT;
use crate::cli::{RunArgs, UiArgs};
use crate::client::Client;
use crate::host::{Given, Host};
use crate::join::Joining;
use crate::show::human::count;
use crate::show::{Live, Screen};
use crate::state_dir::ApiFile;
use crate::{address, http, pass_phrase, resume, signal};

/// Longest wait for the interface to send its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// Longest wait for the interface of another program that holds the state folder.
const STARTING_MAX: Duration = Duration::from_secs(10);
/// Pause between two attempts to reach it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Runs a peer with the settings of the command line until it is told to stop.
pub async fn run(args: RunArgs, ui: UiArgs, state_dir: PathBuf, json: bool) -> Result<(), ErrorBody> {
    let _ours = lock(&state_dir)?;
    refuse_missing(&args.games_dir)?;
    let connect = args.connect.iter().map(|text| address::resolve(text)).collect::<Result<Vec<_>, _>>()?;
    let no_party = args.no_party;
    let base = config(args, find(&ui), &state_dir)?;
    let given = Given {
        games_dir: Some(base.games_dir.clone()),
        name: base.name.clone(),
        party: base.party.clone(),
        no_party,
        accept_wants: base.accept_wants,
    };
    let host = Host::new(&state_dir, given)?;
    let screen = if json { Screen::quiet() } else { Screen::default() };
    if !json {
        screen.say(which_list(&base.catalog));
    }
    let program = Program { host, base, connect, ui, screen, json, browser: false };
    program.run().await
}

/// Opens the page and runs the peer behind it until it is told to stop. If a peer runs already, only opens its page.
pub async fn open(ui: UiArgs, state_dir: PathBuf, json: bool) -> Result<(), ErrorBody> {
    let screen = if json { Screen::quiet() } else { Screen::default() };
    let _ours = match lock_or_find(&state_dir).await? {
        Found::Ours(lock) => lock,
        Found::Running(file) => {
            show_page(&file, &screen, !ui.no_browser);
            return Ok(());
        }
    };
    let host = Host::new(&state_dir, Given::default())?;
    // An organiser that was trusted once stays trusted.
    let catalog = choice::choose(&state_dir, &CatalogWish::default()).map_err(|e| e.to_contract())?;
    let base = PeerConfig {
        games_dir: PathBuf::new(),
        state_dir,
        listen: SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)),
        port_fallback: true,
        name: None,
        catalog,
        invited: joining().and_then(|joining| joining.organiser),
        accept_wants: false,
        private: BTreeSet::new(),
        party: None,
        limits: RateLimits::default(),
        find: find(&ui),
    };
    let browser = !ui.no_browser && ui.ui_listen.is_none();
    let joining = joining();
    let connect = joining.iter().map(|joining| joining.peer).collect();
    let program = Program { host, base, connect, ui, screen, json, browser };
    program.run().await
}

/// Reads from the program's file name which peer to join.
fn joining() -> Option<Joining> {
    Joining::from_name(&std::env::current_exe().ok()?)
}

/// Returns the page's address with the token that opens it.
fn page_url(addr: SocketAddr, token: &str) -> String {
    format!("http://{addr}/?token={token}")
}

fn show_page(file: &ApiFile, screen: &Screen, browser: bool) {
    let url = page_url(file.address, &file.token);
    screen.say(format!("The page: {url}"));
    if browser && let Err(e) = open::that_detached(&url) {
        screen.note(format!("Could not open a browser ({e}); open the address above yourself."));
    }
}

/// One run of the program: its interface, and one peer after the other (a new name needs a new peer).
struct Program {
    host: Host,
    base: PeerConfig,
    connect: Vec<SocketAddr>,
    ui: UiArgs,
    screen: Screen,
    json: bool,
    browser: bool,
}

impl Program {
    async fn run(self) -> Result<(), ErrorBody> {
        let interface = Interface::open(&self.host, self.ui.ui_listen).await?;
        let stopping = tokio::spawn(stop_on_interrupt(self.host.clone(), self.screen.clone()));
        if self.json {
            let contract = Event::contract(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
            self.screen.say(Line::Event(contract).to_json());
        } else {
            show_page(&interface.file, &self.screen, self.browser);
            if let Some(addr) = interface.network {
                self.screen.say(format!(
                    "From other PCs: {}",
                    page_url(seen_from_elsewhere(addr), &interface.file.token)
                ));
            }
        }
        let ended = self.peers().await;
        stopping.abort();
        interface.close().await;
        if ended.is_ok() && !self.json {
            self.screen.say("Goodbye.");
        }
        ended
    }

    async fn peers(&self) -> Result<(), ErrorBody> {
        while let Some(config) = self.host.next_config(&self.base).await {
            let starts = self.host.starts();
            let peer = lanspread_peer::start(config).await.map_err(|e| e.to_contract())?;
            self.host.now_running(Some(peer.handle.clone()));
            tokio::spawn(resume::follow(self.host.clone(), peer.handle.clone()));
            self.follow(peer).await;
            self.host.now_running(None);
            if self.host.starts() == starts {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Shows the peer's events until it has ended.
    async fn follow(&self, mut peer: lanspread_peer::RunningPeer) {
        let asked = self.base.listen.port();
        if !self.json && asked != 0 && peer.addr.port() != asked {
            let got = peer.addr.port();
            self.screen.note(format!("Port {asked} is in use, so this peer listens on port {got}."));
        }
        for addr in &self.connect {
            tokio::spawn(connect_to(peer.handle.clone(), *addr, self.screen.clone()));
        }
        show(&mut peer.events, &self.screen, self.json).await;
        peer.ended().await;
    }
}

/// Address to open on another machine: a listener on all addresses is reached at this machine's own address.
fn seen_from_elsewhere(addr: SocketAddr) -> SocketAddr {
    if !addr.ip().is_unspecified() {
        return addr;
    }
    // An address for documentation (RFC 5737): connecting sends nothing, the system only picks a route.
    let routed = std::net::UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    routed.map_or(addr, |local| SocketAddr::new(local.ip(), addr.port()))
}

async fn show(events: &mut EventStream, screen: &Screen, json: bool) {
    let mut live = Live::new(screen.clone());
    while let Some(streamed) = events.next().await {
        let event = streamed.to_contract();
        if json {
            screen.say(Line::Event(event).to_json());
        } else {
            live.show(&event);
        }
    }
}

/// Which ways of discovery to use.
fn find(ui: &UiArgs) -> Find {
    if ui.no_discovery { Find { introductions: true, ..Find::NOBODY } } else { Find::EVERYBODY }
}

fn config(args: RunArgs, find: Find, state_dir: &Path) -> Result<PeerConfig, ErrorBody> {
    let wish = CatalogWish { file: args.catalog, key: args.catalog_key, none: args.no_catalog };
    let catalog = choice::choose(state_dir, &wish).map_err(|e| e.to_contract())?;
    let party = match args.party {
        None => None,
        Some(name) => {
            let phrase = pass_phrase::obtain(name.as_str(), args.party_secret_file.as_deref())?;
            Some(lanspread_peer::pass_phrase::join(name, phrase).map_err(|e| e.to_contract())?)
        }
    };
    Ok(PeerConfig {
        games_dir: args.games_dir,
        state_dir: state_dir.to_owned(),
        listen: args.listen,
        port_fallback: true,
        name: args.name,
        catalog,
        invited: None,
        accept_wants: args.accept_wants,
        private: BTreeSet::new(),
        party,
        limits: RateLimits { upload: args.upload_limit, download: args.download_limit },
        find,
    })
}

/// Which catalogue counts, in a sentence.
fn which_list(choice: &CatalogChoice) -> String {
    let games = |catalog: &Catalog| count(catalog.games().count(), "game");
    match choice {
        CatalogChoice::Plain(Catalog::Open) => "No catalogue: all valid games are shown.".to_owned(),
        CatalogChoice::Plain(catalog) => format!("Using an unsigned catalogue: {}.", games(catalog)),
        CatalogChoice::Trusted(trust) => match &trust.held {
            Some(held) => format!(
                "Using the organiser's signed catalogue: edition {}, {}.",
                held.serial,
                games(&held.catalog)
            ),
            None => format!("Waiting for the catalogue signed by {}; it arrives from the room.", trust.key),
        },
    }
}

/// Locks the state folder for this process.
fn lock(state_dir: &Path) -> Result<FolderLock, ErrorBody> {
    lanspread_peer::lock_state_dir(state_dir).map_err(|error| {
        let mut error = error.to_contract();
        if error.code == ErrorCode::StateDirInUse {
            error.hint =
                Some("stop it with `lanspread stop`, or give this one its own --state-dir".to_owned());
        }
        error
    })
}

/// Result of taking the state folder.
enum Found {
    /// This process holds the lock.
    Ours(FolderLock),
    /// Another program holds it; this file reaches its interface.
    Running(ApiFile),
}

/// Locks the state folder, or finds the interface of the program that holds it. A double click may start a second
/// program while the first one is still starting, so this waits for the interface.
async fn lock_or_find(state_dir: &Path) -> Result<Found, ErrorBody> {
    let unreadable =
        |e| ErrorBody::new(ErrorCode::NotRunning, format!("the state folder cannot be read: {e}"));
    let deadline = Instant::now() + STARTING_MAX;
    loop {
        let error = match lock(state_dir) {
            Ok(lock) => return Ok(Found::Ours(lock)),
            Err(error) if error.code != ErrorCode::StateDirInUse => return Err(error),
            Err(error) => error,
        };
        if answers(state_dir).await
            && let Some(file) = ApiFile::read(state_dir).map_err(unreadable)?
        {
            return Ok(Found::Running(file));
        }
        if Instant::now() >= deadline {
            return Err(error);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn answers(state_dir: &Path) -> bool {
    let dir = state_dir.to_owned();
    tokio::task::spawn_blocking(move || Client::answers(&dir)).await.unwrap_or(false)
}

/// Refuses a games folder that does not exist, so that a typo does not become a new, empty library.
fn refuse_missing(games_dir: &Path) -> Result<(), ErrorBody> {
    if games_dir.is_dir() {
        return Ok(());
    }
    let message = format!("the games folder {} does not exist", games_dir.display());
    let mut error = ErrorBody::new(ErrorCode::GamesDirUnusable, message);
    error.hint = Some("create it first, or check the spelling".to_owned());
    Err(error)
}

async fn connect_to(peer: PeerHandle, addr: std::net::SocketAddr, screen: Screen) {
    if let Err(error) = peer.command(Command::Connect { addr }).await {
        let error = error.to_contract();
        screen.note(format!("Not connected: {}.", error.message));
        if let Some(hint) = error.hint {
            screen.note(format!("hint: {hint}"));
        }
    }
}

async fn stop_on_interrupt(host: Host, screen: Screen) {
    signal::interrupted().await;
    screen.note("Stopping; press Ctrl-C again to quit at once.");
    tokio::spawn(async {
        signal::interrupted().await;
        signal::end_at_once();
    });
    host.stop().await;
}

/// HTTP interface of this run, and the file that says where it is.
struct Interface {
    file: ApiFile,
    /// Address for other machines, if the user asked for one.
    network: Option<SocketAddr>,
    state_dir: PathBuf,
    serving: JoinHandle<()>,
    end: watch::Sender<bool>,
}

impl Interface {
    async fn open(host: &Host, ui_listen: Option<SocketAddr>) -> Result<Self, ErrorBody> {
        let failed = |code, what: &str, e: std::io::Error| ErrorBody::new(code, format!("{what}: {e}"));
        let here = http::door_for_here()
            .await
            .map_err(|e| failed(ErrorCode::ListenFailed, "the interface for commands cannot listen", e))?;
        let file = ApiFile::new(here.addr)
            .map_err(|e| failed(ErrorCode::StateDirUnusable, "the token cannot be made", e))?;
        let mut doors = vec![here];
        if let Some(addr) = ui_listen {
            let what = format!("the page cannot listen on {addr}");
            doors.push(http::door_for(addr).await.map_err(|e| failed(ErrorCode::ListenFailed, &what, e))?);
        }
        let network = doors.get(1).map(|door| door.addr);
        file.write(host.state_dir())
            .map_err(|e| failed(ErrorCode::StateDirUnusable, "the state folder cannot be written", e))?;
        let (end, ending) = watch::channel(false);
        let (serving_host, token) = (host.clone(), file.token.clone());
        let serving = tokio::spawn(async move { http::serve(doors, serving_host, &token, ending).await });
        Ok(Self { file, network, state_dir: host.state_dir().to_owned(), serving, end })
    }

    async fn close(self) {
        if let Err(e) = self.file.remove(&self.state_dir) {
            tracing::warn!("api.json could not be removed: {e}");
        }
        let _ = self.end.send(true);
        let _ = tokio::time::timeout(LAST_ANSWERS, self.serving).await;
    }
}
