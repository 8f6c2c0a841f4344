//! Owns this program's peer over its whole life: what the user chose, which peer runs now, and when to start another.
//!
//! The HTTP interface starts before there is a peer (the first-run screen needs it) and stays while a peer is
//! replaced, so everything that talks to the peer asks here for the current one. `run` starts the peers; this module
//! says when and with which settings.

mod hold;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_api::page::{Settings, Setup};
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::catalog::choice::{self, CatalogChoice, CatalogWish};
use lanspread_peer::catalog_sync::TrustedCatalog;
use lanspread_peer::command::{Command, RateLimits, Reply};
use lanspread_peer::contract::ToContract;
use lanspread_peer::{PeerConfig, PeerHandle};
use lanspread_types::{CatalogKey, GameId, Party, PeerName};
use tokio::sync::watch;

use crate::running_games::RunningGames;
use crate::settings::{Kept, KeptParty};
use crate::state_dir;
use crate::unfinished::Unfinished;
use crate::upload_hold::UploadHold;

/// Languages that the page speaks.
const LANGUAGES: [&str; 2] = ["en", "de"];

/// How long a command waits for a peer that is being started.
const STARTING_TIMEOUT: Duration = Duration::from_secs(20);

/// Shared state of this program's peer. Cheap to clone; all clones share it.
#[derive(Debug, Clone)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state_dir: PathBuf,
    choices: Mutex<Choices>,
    quiet: Mutex<UploadHold>,
    unfinished: Mutex<Unfinished>,
    running_games: Mutex<RunningGames>,
    running: watch::Sender<Option<PeerHandle>>,
    /// What should run; its counter goes up when the peer must be started anew.
    wanted: watch::Sender<Wanted>,
}

/// Settings from the command line. Each overrides the kept choice until the user chooses something else, and is never
/// written to disk.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Games folder.
    pub games_dir: Option<PathBuf>,
    /// This machine's name for other peers.
    pub name: Option<PeerName>,
    /// Closed party to join.
    pub party: Option<Party>,
    /// Join no party, even if one is kept.
    pub no_party: bool,
    /// Download what others ask everyone to download.
    pub accept_wants: bool,
}

/// Kept and given settings together.
#[derive(Debug, Clone, Default)]
struct Choices {
    kept: Kept,
    given: Given,
    /// Chosen on the page; `None` until then, and the peer uses the catalogue of its base configuration.
    catalog: Option<CatalogChoice>,
}

impl Choices {
    fn settings(&self) -> Settings {
        let (given, chosen) = (&self.given, self.kept.chosen.clone());
        Settings {
            games_dir: given
                .games_dir
                .as_ref()
                .map(|dir| dir.to_string_lossy().into_owned())
                .or(chosen.games_dir),
            name: given.name.as_ref().map(ToString::to_string).or(chosen.name),
            accept_wants: given.accept_wants.then_some(true).or(chosen.accept_wants),
            ..chosen
        }
    }

    fn party(&self) -> Option<Party> {
        if self.given.no_party {
            return None;
        }
        self.given.party.clone().or_else(|| self.kept.party.as_ref()?.party())
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wanted {
    starts: u64,
    stop: bool,
}

impl Host {
    /// Reads the kept settings; `given` overrides them and is not kept.
    pub fn new(state_dir: &Path, given: Given) -> Result<Self, ErrorBody> {
        let unreadable = |e: std::io::Error| {
            let message = format!("the settings in {} cannot be read: {e}", state_dir.display());
            ErrorBody::new(ErrorCode::StateDirUnusable, message)
        };
        let kept = Kept::read(state_dir).map_err(unreadable)?;
        Ok(Self(Arc::new(Inner {
            state_dir: state_dir.to_owned(),
            choices: Mutex::new(Choices { kept, given, catalog: None }),
            quiet: Mutex::default(),
            unfinished: Mutex::new(Unfinished::read(state_dir)),
            running_games: Mutex::default(),
            running: watch::Sender::new(None),
            wanted: watch::Sender::new(Wanted::default()),
        })))
    }

    /// State folder of this program.
    pub fn state_dir(&self) -> &Path {
        &self.0.state_dir
    }

    /// The running peer; [`ErrorCode::NotSetUp`] if there is none.
    pub fn peer(&self) -> Result<PeerHandle, ErrorBody> {
        let not_yet = || ErrorBody::new(ErrorCode::NotSetUp, "no games folder has been chosen yet");
        self.0.running.borrow().clone().ok_or_else(not_yet)
    }

    /// The running peer; waits for it while it is being started.
    pub async fn peer_soon(&self) -> Result<PeerHandle, ErrorBody> {
        if self.games_dir().is_none() || self.0.wanted.borrow().stop {
            return self.peer();
        }
        let mut running = self.peers();
        let started = tokio::time::timeout(STARTING_TIMEOUT, running.wait_for(Option::is_some)).await;
        match started {
            Ok(Ok(peer)) => peer.clone().map_or_else(|| self.peer(), Ok),
            _ => Err(ErrorBody::new(ErrorCode::Busy, "the peer is still starting")),
        }
    }

    /// Subscribes to the running peer and each one after it.
    pub fn peers(&self) -> watch::Receiver<Option<PeerHandle>> {
        self.0.running.subscribe()
    }

    /// Announces the peer that runs now.
    pub fn now_running(&self, peer: Option<PeerHandle>) {
        self.running_games(RunningGames::forget);
        self.0.running.send_replace(peer);
    }

    /// Settings in force: what the command line gives, otherwise what is kept.
    pub fn settings(&self) -> Settings {
        self.choices().settings()
    }

    /// Games folder in force; `None` before the first choice.
    pub fn games_dir(&self) -> Option<PathBuf> {
        self.settings().games_dir.map(PathBuf::from)
    }

    /// Returns the configuration of the next peer: `base` with the user's choices. Waits until a games folder is
    /// chosen; `None` once the program must end.
    pub async fn next_config(&self, base: &PeerConfig) -> Option<PeerConfig> {
        let mut wanted = self.0.wanted.subscribe();
        loop {
            if wanted.borrow_and_update().stop {
                return None;
            }
            if let Some(config) = self.config(base) {
                return Some(config);
            }
            wanted.changed().await.ok()?;
        }
    }

    fn config(&self, base: &PeerConfig) -> Option<PeerConfig> {
        let choices = self.choices();
        let (chosen, kept) = (choices.settings(), &choices.kept);
        let name = chosen.name.and_then(|name| PeerName::new(name).ok());
        Some(PeerConfig {
            games_dir: PathBuf::from(chosen.games_dir?),
            name: name.or(base.name.clone()),
            catalog: self.newest(choices.catalog.as_ref().unwrap_or(&base.catalog)),
            accept_wants: chosen.accept_wants.unwrap_or_default(),
            private: kept.private_games.clone(),
            party: choices.party(),
            limits: RateLimits {
                upload: base.limits.upload.or(kept.upload_limit),
                download: base.limits.download.or(kept.download_limit),
            },
            ..base.clone()
        })
    }

    /// Reads an organiser's catalogue again: a newer edition may have arrived since the choice.
    fn newest(&self, choice: &CatalogChoice) -> CatalogChoice {
        match choice {
            CatalogChoice::Plain(_) => choice.clone(),
            CatalogChoice::Trusted(_) => {
                let kept = choice::choose(&self.0.state_dir, &CatalogWish::default());
                kept.unwrap_or_else(|_| choice.clone())
            }
        }
    }

    /// Number of restarts asked for so far. If it changed while a peer ran, another peer must start after it.
    pub fn starts(&self) -> u64 {
        self.0.wanted.borrow().starts
    }

    /// Ends the program. A running peer says goodbye first.
    pub async fn stop(&self) {
        self.want_stop();
        if let Ok(peer) = self.peer() {
            let _ = peer.command(Command::Shutdown).await;
        }
    }

    /// Lets no further peer start.
    pub fn want_stop(&self) {
        self.0.wanted.send_modify(|wanted| wanted.stop = true);
    }

    /// Completes the first run: keeps the chosen games folder and name, and lets the first peer start. Creates the
    /// folder if it is missing, as the form announces.
    pub fn set_up(&self, setup: &Setup) -> Result<Settings, ErrorBody> {
        if self.games_dir().is_some() {
            return Err(ErrorBody::new(ErrorCode::Busy, "a games folder is already chosen"));
        }
        let dir = folder(&setup.games_dir)?;
        let name = setup.name.as_deref().map(peer_name).transpose()?;
        let unusable = |e| {
            let message = format!("the games folder {} cannot be created: {e}", dir.display());
            ErrorBody::new(ErrorCode::GamesDirUnusable, message)
        };
        std::fs::create_dir_all(&dir).map_err(unusable)?;
        let settings = self.keep(|choices| {
            choices.kept.chosen.games_dir = Some(dir.to_string_lossy().into_owned());
            choices.kept.chosen.name = name;
        })?;
        self.start_anew();
        Ok(settings)
    }

    /// Changes settings. A changed name, or a changed choice about wishes, restarts the peer, and so is refused while a
    /// game is being downloaded or installed.
    pub async fn change(&self, change: Settings) -> Result<Settings, ErrorBody> {
        let before = self.settings();
        let name = change.name.as_deref().map(peer_name).transpose()?;
        let renamed = name.is_some() && name != before.name;
        let differs = renamed
            || change.accept_wants.is_some_and(|accept| accept != before.accept_wants.unwrap_or_default());
        if let Some(language) = &change.language
            && !LANGUAGES.contains(&language.as_str())
        {
            return Err(ErrorBody::new(ErrorCode::InvalidField, format!("unknown language {language:?}")));
        }
        if let Some(dir) = change.games_dir.as_deref().filter(|dir| Some(*dir) != before.games_dir.as_deref())
        {
            self.move_to(&folder(dir)?).await?;
        }
        if differs {
            self.refuse_while_working().await?;
        }
        let settings = self.keep(|choices| {
            let chosen = &mut choices.kept.chosen;
            if change.games_dir.is_some() {
                (chosen.games_dir, choices.given.games_dir) = (change.games_dir, None);
            }
            if name.is_some() {
                (chosen.name, choices.given.name) = (name, None);
            }
            chosen.language = change.language.or(chosen.language.take());
            if change.accept_wants.is_some() {
                (chosen.accept_wants, choices.given.accept_wants) = (change.accept_wants, false);
            }
            chosen.quiet_upload = change.quiet_upload.or(chosen.quiet_upload).filter(|&limit| limit > 0);
        })?;
        if differs {
            self.start_another().await;
        }
        Ok(settings)
    }

    /// Joins a closed party, or leaves the current one. Refused while a game is being downloaded or installed.
    pub async fn join_party(&self, party: Option<KeptParty>) -> Result<(), ErrorBody> {
        self.refuse_while_working().await?;
        self.keep(|choices| {
            choices.kept.party = party;
            (choices.given.party, choices.given.no_party) = (None, false);
        })?;
        self.start_another().await;
        Ok(())
    }

    /// Uses another catalogue from now on. Refused while a game is being downloaded or installed.
    pub async fn go_by(&self, wish: CatalogWish) -> Result<(), ErrorBody> {
        self.refuse_while_working().await?;
        let choice = choice::choose(&self.0.state_dir, &wish).map_err(|e| e.to_contract())?;
        self.choices().catalog = Some(choice);
        self.start_another().await;
        Ok(())
    }

    /// Remembers that the running peer uses this organiser's catalogue, for the peers after it.
    pub fn trusts(&self, key: CatalogKey) {
        self.choices().catalog = Some(CatalogChoice::Trusted(TrustedCatalog { key, held: None }));
    }

    async fn refuse_while_working(&self) -> Result<(), ErrorBody> {
        if self.is_working().await? {
            return Err(ErrorBody::new(
                ErrorCode::Busy,
                "a game is being downloaded or installed; try again afterwards",
            ));
        }
        Ok(())
    }

    /// Replaces the running peer, if there is one.
    async fn start_another(&self) {
        let Ok(peer) = self.peer() else { return };
        self.start_anew();
        // Requests wait for the next peer from now on. It starts with the kept limits, so an upload hold ends here.
        self.now_running(None);
        *self.upload_hold() = UploadHold::default();
        let _ = peer.command(Command::Shutdown).await;
    }

    /// State of the upload hold.
    pub fn upload_hold(&self) -> MutexGuard<'_, UploadHold> {
        self.0.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the list of unfinished downloads, or changes it.
    pub fn unfinished<T>(&self, act: impl FnOnce(&mut Unfinished) -> T) -> T {
        act(&mut self.0.unfinished.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the games whose program runs, or changes them.
    pub fn running_games<T>(&self, act: impl FnOnce(&mut RunningGames) -> T) -> T {
        act(&mut self.0.running_games.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the limits in bytes per second for the next start.
    pub fn keep_limits(&self, upload: Option<u64>, download: Option<u64>) -> Result<(), ErrorBody> {
        let limits = |choices: &mut Choices| {
            (choices.kept.upload_limit, choices.kept.download_limit) = (upload, download);
        };
        self.keep(limits).map(drop)
    }

    /// Keeps for the next start whether a game is shared.
    pub fn keep_sharing(&self, game: &str, shared: bool) -> Result<(), ErrorBody> {
        let Ok(game) = GameId::new(game) else { return Ok(()) };
        let sharing = |choices: &mut Choices| {
            let private = &mut choices.kept.private_games;
            if shared {
                private.remove(&game)
            } else {
                private.insert(game)
            };
        };
        self.keep(sharing).map(drop)
    }

    async fn move_to(&self, dir: &Path) -> Result<(), ErrorBody> {
        if !dir.is_dir() {
            let message = format!("the games folder {} does not exist", dir.display());
            return Err(ErrorBody::new(ErrorCode::GamesDirUnusable, message));
        }
        let moved = self.peer()?.command(Command::SetGamesDir { path: dir.to_owned() }).await;
        moved.map(drop).map_err(|e| e.to_contract())
    }

    async fn is_working(&self) -> Result<bool, ErrorBody> {
        let Ok(peer) = self.peer() else { return Ok(false) };
        match peer.command(Command::Status).await {
            Ok(Reply::Status(status)) => Ok(!status.operations.is_empty()),
            Ok(_) => Ok(false),
            Err(error) => Err(error.to_contract()),
        }
    }

    fn start_anew(&self) {
        self.0.wanted.send_modify(|wanted| wanted.starts += 1);
    }

    /// Changes the choices, on disk first.
    fn keep(&self, change: impl FnOnce(&mut Choices)) -> Result<Settings, ErrorBody> {
        let mut choices = self.choices();
        let mut changed = choices.clone();
        change(&mut changed);
        let unwritable = |e: std::io::Error| {
            ErrorBody::new(ErrorCode::StateDirUnusable, format!("the settings cannot be written: {e}"))
        };
        changed.kept.write(&self.0.state_dir).map_err(unwritable)?;
        *choices = changed;
        Ok(choices.settings())
    }

    /// A poisoned lock is used all the same: no code panics while it holds the lock, and the content is always
    /// complete.
    fn choices(&self) -> MutexGuard<'_, Choices> {
        self.0.choices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses a folder as people type it: absolute, with `~` for the home folder.
pub fn folder(text: &str) -> Result<PathBuf, ErrorBody> {
    let text = text.trim();
    let home = || etcetera::home_dir().ok();
    let path = match text.strip_prefix('~') {
        Some(rest) => home().map(|home| home.join(rest.trim_start_matches(['/', '\\']))),
        None => Some(PathBuf::from(text)),
    };
    path.filter(|path| path.is_absolute() && !text.contains('\0')).ok_or_else(|| {
        let message = format!("{text:?} is not a full path, such as {}", example_folder());
        ErrorBody::new(ErrorCode::FolderUnusable, message)
    })
}

fn example_folder() -> &'static str {
    if cfg!(windows) { r"D:\Games" } else { "/home/ada/games" }
}

/// Suggestion for the first run: `Games` in the home folder or beside a portable program. The name stays empty,
/// because the peer itself falls back to the host name.
pub fn suggestion(state_dir: &Path) -> Setup {
    let folder = state_dir::portable_folder(state_dir).map(Path::to_path_buf);
    let folder = folder.or_else(|| etcetera::home_dir().ok()).unwrap_or_default();
    Setup { games_dir: folder.join("Games").to_string_lossy().into_owned(), name: None }
}

fn peer_name(text: &str) -> Result<String, ErrorBody> {
    let name = PeerName::new(text.trim());
    name.map(|name| name.to_string()).map_err(|e| ErrorBody::new(ErrorCode::InvalidField, e.to_string()))
}

#[cfg(test)]
mod tests {
    use lanspread_peer::catalog::signed::OrganiserKey;
    use lanspread_types::PartyName;

    use super::*;

    fn host() -> (tempfile::TempDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new(&dir.path().join("state"), Given::default()).unwrap();
        (dir, host)
    }

    fn base() -> PeerConfig {
        PeerConfig {
            games_dir: PathBuf::new(),
            state_dir: PathBuf::new(),
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            port_fallback: true,
            name: None,
            catalog: lanspread_peer::catalog::Catalog::Open.into(),
            invited: None,
            accept_wants: false,
            private: std::collections::BTreeSet::new(),
            party: None,
            limits: RateLimits::default(),
            find: lanspread_peer::Find::NOBODY,
        }
    }

    fn setup(dir: &Path) -> Setup {
        Setup { games_dir: dir.to_string_lossy().into_owned(), name: Some(" ada ".to_owned()) }
    }

    #[test]
    fn first_choice_is_kept_and_made_once() {
        let (dir, host) = host();
        assert_eq!(host.peer().unwrap_err().code, ErrorCode::NotSetUp);
        let games = dir.path().join("my games");
        host.set_up(&setup(&games)).unwrap();
        assert!(games.is_dir());
        assert_eq!(host.set_up(&setup(&games)).unwrap_err().code, ErrorCode::Busy);
        let again = Host::new(&dir.path().join("state"), Given::default()).unwrap();
        assert_eq!(again.settings().name.as_deref(), Some("ada"));
        assert_eq!(again.games_dir(), Some(games));
    }

    #[test]
    fn invalid_folder_or_name_keeps_nothing() {
        let (dir, host) = host();
        for bad in ["", "games", "../games", "\0"] {
            let setup = Setup { games_dir: bad.to_owned(), name: None };
            assert_eq!(host.set_up(&setup).unwrap_err().code, ErrorCode::FolderUnusable, "{bad:?}");
        }
        let long = Setup { name: Some("x".repeat(65)), ..setup(dir.path()) };
        assert_eq!(host.set_up(&long).unwrap_err().code, ErrorCode::InvalidField);
        assert_eq!(host.games_dir(), None);
    }

    #[tokio::test]
    async fn change_leaves_other_settings_alone() {
        let (dir, host) = host();
        host.set_up(&setup(dir.path())).unwrap();
        let change = |language: &str| Settings { language: Some(language.to_owned()), ..Settings::default() };
        let after = host.change(change("de")).await.unwrap();
        assert_eq!((after.language.as_deref(), after.name.as_deref()), (Some("de"), Some("ada")));
        assert_eq!(host.change(change("xx")).await.unwrap_err().code, ErrorCode::InvalidField);
        assert_eq!(host.settings(), after);
    }

    #[tokio::test]
    async fn party_is_kept_and_command_line_overrides_it() {
        let (dir, host) = host();
        host.set_up(&setup(dir.path())).unwrap();
        let named = |name: &str| KeptParty {
            name: PartyName::new(name).unwrap(),
            phrase: "correct horse battery".to_owned(),
        };
        let party = |host: &Host| host.config(&base()).unwrap().party.map(|party| party.name.to_string());
        assert_eq!(party(&host), None);
        host.join_party(Some(named("friday"))).await.unwrap();
        assert_eq!(party(&host).as_deref(), Some("friday"));
        let state = host.state_dir();
        let again = Host::new(state, Given::default()).unwrap();
        assert_eq!(party(&again).as_deref(), Some("friday"));
        let given = Given { party: named("saturday").party(), ..Given::default() };
        let other = Host::new(state, given).unwrap();
        assert_eq!(party(&other).as_deref(), Some("saturday"));
        other.join_party(None).await.unwrap();
        assert_eq!(party(&other), None, "what is chosen last counts");
        let open = Given { no_party: true, ..Given::default() };
        host.join_party(Some(named("friday"))).await.unwrap();
        assert_eq!(party(&Host::new(state, open).unwrap()), None);
    }

    #[tokio::test]
    async fn catalogue_applies_from_the_next_start() {
        let (dir, host) = host();
        host.set_up(&setup(dir.path())).unwrap();
        let key = OrganiserKey::create(&dir.path().join("organiser.key")).unwrap().public();
        let wish = CatalogWish { key: Some(key), ..CatalogWish::default() };
        let trusted =
            |host: &Host| matches!(host.config(&base()).unwrap().catalog, CatalogChoice::Trusted(_));
        assert!(!trusted(&host));
        host.go_by(wish).await.unwrap();
        assert!(trusted(&host));
        host.go_by(CatalogWish { none: true, ..CatalogWish::default() }).await.unwrap();
        assert!(!trusted(&host));
    }

    #[tokio::test]
    async fn command_line_overrides_and_is_not_kept() {
        let (dir, host) = host();
        host.set_up(&setup(dir.path())).unwrap();
        let other =
            Host::new(host.state_dir(), Given { games_dir: Some("/other".into()), ..Given::default() })
                .unwrap();
        assert_eq!(other.games_dir(), Some(PathBuf::from("/other")));
        other.keep_limits(Some(1), None).unwrap();
        assert_eq!(Kept::read(host.state_dir()).unwrap().chosen, host.settings());
    }
}
