//! The peer of this program over its whole life: chosen by the user, started, started anew with another name.
//!
//! The HTTP interface stands before there is a peer (the first-run screen needs it) and stays while one is replaced.
//! So everything that talks to the peer asks here for the one that runs now. Starting it is `run`'s concern; this says
//! when, and with what.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanspread_api::page::{Settings, Setup};
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::catalog_choice::{self, CatalogChoice, CatalogWish};
use lanspread_peer::catalog_sync::TrustedCatalog;
use lanspread_peer::command::{Command, RateLimits, Reply};
use lanspread_peer::{PeerConfig, PeerHandle};
use lanspread_types::{CatalogKey, Party, PeerName};
use tokio::sync::watch;

use crate::place;
use crate::quiet::Quiet;
use crate::settings::{Kept, KeptParty};

/// Languages that the page speaks.
const LANGUAGES: [&str; 2] = ["en", "de"];

/// How long a command waits for a peer that is being started.
const STARTING_TIMEOUT: Duration = Duration::from_secs(20);

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state_dir: PathBuf,
    choices: Mutex<Choices>,
    quiet: Mutex<Quiet>,
    running: watch::Sender<Option<PeerHandle>>,
    /// What is to be run: counts up when the peer is to be started anew.
    wanted: watch::Sender<Wanted>,
}

/// What the command line says: counts more than what was chosen before, until something else is chosen, and is not kept.
#[derive(Debug, Clone, Default)]
pub struct Given {
    pub games_dir: Option<PathBuf>,
    pub name: Option<PeerName>,
    pub party: Option<Party>,
    /// Belong to no party, whatever was chosen.
    pub no_party: bool,
    pub accept_wants: bool,
}

/// What was chosen.
#[derive(Debug, Clone, Default)]
struct Choices {
    kept: Kept,
    given: Given,
    /// What was chosen on the page; what a peer goes by at first is its configuration's.
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
    /// With what was chosen before, and with what the command line says, which counts more and is not kept.
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
            running: watch::Sender::new(None),
            wanted: watch::Sender::new(Wanted::default()),
        })))
    }

    pub fn state_dir(&self) -> &Path {
        &self.0.state_dir
    }

    /// The peer that runs now.
    pub fn peer(&self) -> Result<PeerHandle, ErrorBody> {
        let not_yet = || ErrorBody::new(ErrorCode::NotSetUp, "no games folder has been chosen yet");
        self.0.running.borrow().clone().ok_or_else(not_yet)
    }

    /// The peer that runs now or, if it is just being started, in a moment.
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

    /// The peer that runs, and each one after it.
    pub fn peers(&self) -> watch::Receiver<Option<PeerHandle>> {
        self.0.running.subscribe()
    }

    /// Tells everybody which peer runs now.
    pub fn now_running(&self, peer: Option<PeerHandle>) {
        self.0.running.send_replace(peer);
    }

    pub fn settings(&self) -> Settings {
        self.choices().settings()
    }

    pub fn games_dir(&self) -> Option<PathBuf> {
        self.settings().games_dir.map(PathBuf::from)
    }

    /// What to start the next peer with: `base`, and what was chosen. Waits for the choice; `None` when the program is
    /// to end instead.
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
            party: choices.party(),
            limits: RateLimits {
                upload: base.limits.upload.or(kept.upload_limit),
                download: base.limits.download.or(kept.download_limit),
            },
            ..base.clone()
        })
    }

    /// An organiser's catalogue may have come in a newer edition since it was read.
    fn newest(&self, choice: &CatalogChoice) -> CatalogChoice {
        match choice {
            CatalogChoice::Plain(_) => choice.clone(),
            CatalogChoice::Trusted(_) => {
                let kept = catalog_choice::choose(&self.0.state_dir, &CatalogWish::default());
                kept.unwrap_or_else(|_| choice.clone())
            }
        }
    }

    /// Counts the starts that were asked for; another number after a peer's end means that it is to be started anew.
    pub fn starts(&self) -> u64 {
        self.0.wanted.borrow().starts
    }

    /// Ends the program: the peer says goodbye first, if there is one.
    pub async fn stop(&self) {
        self.want_stop();
        if let Ok(peer) = self.peer() {
            let _ = peer.command(Command::Shutdown).await;
        }
    }

    /// No other peer is started any more.
    pub fn want_stop(&self) {
        self.0.wanted.send_modify(|wanted| wanted.stop = true);
    }

    /// The first choice. The folder is made if it is not there: it was typed into a form that says so.
    pub fn set_up(&self, setup: &Setup) -> Result<Settings, ErrorBody> {
        if self.games_dir().is_some() {
            return Err(ErrorBody::new(ErrorCode::Busy, "a games folder is chosen already"));
        }
        let dir = folder(&setup.games_dir)?;
        let name = setup.name.as_deref().map(peer_name).transpose()?;
        let unusable = |e| {
            let message = format!("the games folder {} cannot be made: {e}", dir.display());
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

    /// Changes what was chosen. Another name means another peer, so nothing may be running then.
    pub async fn change(&self, change: Settings) -> Result<Settings, ErrorBody> {
        let before = self.settings();
        let name = change.name.as_deref().map(peer_name).transpose()?;
        let renamed = name.is_some() && name != before.name;
        let differs = renamed
            || change.accept_wants.is_some_and(|accept| accept != before.accept_wants.unwrap_or_default());
        if let Some(language) = &change.language
            && !LANGUAGES.contains(&language.as_str())
        {
            return Err(ErrorBody::new(
                ErrorCode::InvalidField,
                format!("there is no language {language:?}"),
            ));
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

    /// Joins a closed party, or leaves the one there is.
    pub async fn join_party(&self, party: Option<KeptParty>) -> Result<(), ErrorBody> {
        self.refuse_while_working().await?;
        self.keep(|choices| {
            choices.kept.party = party;
            (choices.given.party, choices.given.no_party) = (None, false);
        })?;
        self.start_another().await;
        Ok(())
    }

    /// Goes by another catalogue from now on.
    pub async fn go_by(&self, wish: CatalogWish) -> Result<(), ErrorBody> {
        self.refuse_while_working().await?;
        let choice = catalog_choice::choose(&self.0.state_dir, &wish).map_err(|e| ErrorBody::from(&e))?;
        self.choices().catalog = Some(choice);
        self.start_another().await;
        Ok(())
    }

    /// The running peer goes by an organiser's catalogue now; so will those that come after it.
    pub fn trusts(&self, key: CatalogKey) {
        self.choices().catalog = Some(CatalogChoice::Trusted(TrustedCatalog { key, held: None }));
    }

    async fn refuse_while_working(&self) -> Result<(), ErrorBody> {
        if self.is_working().await? {
            return Err(ErrorBody::new(ErrorCode::Busy, "this changes when nothing is running"));
        }
        Ok(())
    }

    /// Another peer takes the place of the one that runs, if one does.
    async fn start_another(&self) {
        let Ok(peer) = self.peer() else { return };
        self.start_anew();
        // What is asked from now on waits for the next one, which starts with the limits that were kept.
        self.now_running(None);
        *self.quiet() = Quiet::default();
        let _ = peer.command(Command::Shutdown).await;
    }

    /// Whether and why sending is held back.
    pub fn quiet(&self) -> MutexGuard<'_, Quiet> {
        self.0.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the limits for the next start.
    pub fn keep_limits(&self, upload: Option<u64>, download: Option<u64>) -> Result<(), ErrorBody> {
        let limits = |choices: &mut Choices| {
            (choices.kept.upload_limit, choices.kept.download_limit) = (upload, download);
        };
        self.keep(limits).map(drop)
    }

    async fn move_to(&self, dir: &Path) -> Result<(), ErrorBody> {
        if !dir.is_dir() {
            let message = format!("the games folder {} does not exist", dir.display());
            return Err(ErrorBody::new(ErrorCode::GamesDirUnusable, message));
        }
        let moved = self.peer()?.command(Command::SetGamesDir { path: dir.to_owned() }).await;
        moved.map(drop).map_err(|e| ErrorBody::from(&e))
    }

    async fn is_working(&self) -> Result<bool, ErrorBody> {
        let Ok(peer) = self.peer() else { return Ok(false) };
        match peer.command(Command::Status).await {
            Ok(Reply::Status(status)) => Ok(!status.operations.is_empty()),
            Ok(_) => Ok(false),
            Err(error) => Err(ErrorBody::from(&error)),
        }
    }

    fn start_anew(&self) {
        self.0.wanted.send_modify(|wanted| wanted.starts += 1);
    }

    /// Changes what is kept, on disk first.
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

    /// Nobody holds the lock while something can panic, and the content is whole at any time.
    fn choices(&self) -> MutexGuard<'_, Choices> {
        self.0.choices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A folder as somebody typed it: absolute, with `~` for the home folder.
pub fn folder(text: &str) -> Result<PathBuf, ErrorBody> {
    let text = text.trim();
    let home = || etcetera::home_dir().ok();
    let path = match text.strip_prefix('~') {
        Some(rest) => home().map(|home| home.join(rest.trim_start_matches(['/', '\\']))),
        None => Some(PathBuf::from(text)),
    };
    path.filter(|path| path.is_absolute() && !text.contains('\0')).ok_or_else(|| {
        let message = format!("{text:?} is no whole path, such as {}", example_folder());
        ErrorBody::new(ErrorCode::FolderUnusable, message)
    })
}

fn example_folder() -> &'static str {
    if cfg!(windows) { r"D:\Games" } else { "/home/ada/games" }
}

/// What to suggest on the first run: `Games` in the home folder, or beside a portable program, and the computer's name is the peer's own guess.
pub fn suggestion(state_dir: &Path) -> Setup {
    let folder = place::portable_folder(state_dir).map(Path::to_path_buf);
    let folder = folder.or_else(|| etcetera::home_dir().ok()).unwrap_or_default();
    Setup { games_dir: folder.join("Games").to_string_lossy().into_owned(), name: None }
}

fn peer_name(text: &str) -> Result<String, ErrorBody> {
    let name = PeerName::new(text.trim());
    name.map(|name| name.to_string()).map_err(|e| ErrorBody::new(ErrorCode::InvalidField, e.to_string()))
}

#[cfg(test)]
mod tests {
    use lanspread_peer::signed_catalog::OrganiserKey;
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
            party: None,
            limits: RateLimits::default(),
            find: lanspread_peer::Find::NOBODY,
        }
    }

    fn setup(dir: &Path) -> Setup {
        Setup { games_dir: dir.to_string_lossy().into_owned(), name: Some(" ada ".to_owned()) }
    }

    #[test]
    fn the_first_choice_is_kept_and_made_once() {
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
    fn what_is_no_folder_or_no_name_is_refused_and_nothing_is_kept() {
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
    async fn a_change_leaves_the_rest_as_it_was() {
        let (dir, host) = host();
        host.set_up(&setup(dir.path())).unwrap();
        let change = |language: &str| Settings { language: Some(language.to_owned()), ..Settings::default() };
        let after = host.change(change("de")).await.unwrap();
        assert_eq!((after.language.as_deref(), after.name.as_deref()), (Some("de"), Some("ada")));
        assert_eq!(host.change(change("xx")).await.unwrap_err().code, ErrorCode::InvalidField);
        assert_eq!(host.settings(), after);
    }

    #[tokio::test]
    async fn a_party_is_kept_and_the_command_line_counts_more() {
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
    async fn a_catalogue_is_gone_by_from_the_next_start() {
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
    async fn the_command_line_counts_more_and_is_not_kept() {
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
