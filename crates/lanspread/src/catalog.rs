//! `lanspread catalog`: the organiser's tools. They need no running peer, but `make` can ask one for its games.

use std::path::{Path, PathBuf};

use lanspread_api::{ErrorBody, ErrorCode, ReplyData, Request};
use lanspread_peer::atomic_file;
use lanspread_peer::catalog::choice::{self, CatalogWish};
use lanspread_peer::catalog::make::{self, FoundGame};
use lanspread_peer::catalog::signed::{self, OrganiserKey};
use lanspread_peer::catalog::text::{self, CatalogError, CatalogText};
use lanspread_peer::catalog::{Catalog, CatalogEntry};
use lanspread_peer::contract::ToContract;
use lanspread_types::{CatalogKey, ContentId, GameId, Organiser};

use crate::cli::CatalogCommand;
use crate::client::Client;
use crate::show::table::Align::Left;
use crate::show::{Screen, Table, human};
use crate::state_dir;

/// Runs one `lanspread catalog` command.
pub fn run(command: CatalogCommand, state_dir: Option<PathBuf>) -> Result<(), ErrorBody> {
    let screen = Screen::default();
    match command {
        CatalogCommand::Key { file } => {
            let key = OrganiserKey::create(&file).map_err(|e| e.to_contract())?;
            screen.say(format!("Public key: {}", key.public()));
            screen.say(format!("Fingerprint, to read out: {}", key.public().fingerprint()));
            screen.say(format!("Keep {} secret: anyone who has it can sign in your name.", file.display()));
            Ok(())
        }
        CatalogCommand::Make { games_dir, from, title, out, sign: key } => {
            let found = match games_dir {
                // The peer that runs on the folder has it locked, and knows its games.
                Some(dir) => match running_on(&dir, state_dir) {
                    Some(client) => games_of(&client)?,
                    None => in_folder(&dir, &screen)?,
                },
                None => games_of(&Client::find(&state_dir::state_dir(state_dir)?)?)?,
            };
            make(&screen, &found, from.as_deref(), title, &out)?;
            match key {
                Some(key) => sign(&screen, &out, &key),
                None => {
                    screen.say(format!("Next: lanspread catalog sign {} --key organiser.key", out.display()));
                    Ok(())
                }
            }
        }
        CatalogCommand::Trust { key } => trust(&screen, state_dir, key),
        CatalogCommand::Decline { key } => {
            let client = Client::find(&state_dir::state_dir(state_dir)?)?;
            client.ask(&Request::DeclineCatalog { key })?;
            screen.say(format!("You will not be asked about {key} again."));
            Ok(())
        }
        CatalogCommand::Sign { file, key } => sign(&screen, &file, &key),
        CatalogCommand::Show { file } => show(&screen, &file),
        CatalogCommand::Verify { file, key } => verify(&screen, &file, key),
    }
}

/// Trusts an organiser. A running peer switches to its catalogue at once. Without one, only a full key will do: a
/// fingerprint does not say which key to keep.
fn trust(screen: &Screen, state_dir: Option<PathBuf>, organiser: Organiser) -> Result<(), ErrorBody> {
    let state_dir = state_dir::state_dir(state_dir)?;
    let key = match (Client::find(&state_dir), organiser) {
        (Ok(client), organiser) => match client.ask(&Request::TrustCatalog { key: organiser })? {
            ReplyData::TrustCatalog(trusted) => trusted.fingerprint,
            other => {
                let message = format!("the running peer answered something else: {other:?}");
                return Err(ErrorBody::new(ErrorCode::Internal, message));
            }
        },
        (Err(_), Organiser::Key(key)) => {
            let _ours = lanspread_peer::lock_state_dir(&state_dir).map_err(|e| e.to_contract())?;
            let wish = CatalogWish { key: Some(key), ..CatalogWish::default() };
            choice::choose(&state_dir, &wish).map_err(|e| e.to_contract())?;
            key.fingerprint().to_string()
        }
        (Err(error), Organiser::Fingerprint(_)) => return Err(error),
    };
    screen.say(format!("You trust the organiser {key}. The catalogue is used as soon as it arrives."));
    Ok(())
}

fn in_folder(dir: &Path, screen: &Screen) -> Result<Vec<FoundGame>, ErrorBody> {
    if !dir.is_dir() {
        let message = format!("the games folder {} does not exist", dir.display());
        return Err(ErrorBody::new(ErrorCode::GamesDirUnusable, message));
    }
    let tell = |game: &GameId| screen.note(format!("reading {game}"));
    make::find_games(dir, tell).map_err(|e| ErrorBody::new(ErrorCode::GamesDirUnusable, e.to_string()))
}

/// Returns the peer of this state folder if it runs on the games folder `dir`.
fn running_on(dir: &Path, state_dir: Option<PathBuf>) -> Option<Client> {
    let client = Client::find(&state_dir::state_dir(state_dir).ok()?).ok()?;
    let its_own = client.status().ok()?.games_dir;
    let same = Path::new(&its_own).canonicalize().ok()? == dir.canonicalize().ok()?;
    same.then_some(client)
}

fn games_of(client: &Client) -> Result<Vec<FoundGame>, ErrorBody> {
    let games = client.games()?;
    let found = |g: lanspread_api::reply::GameInfo| {
        let content: ContentId = g.content_id?.parse().ok()?;
        let version = g.local_version?.parse().ok()?;
        Some(FoundGame { game: GameId::new(g.game_id).ok()?, version, content, title: g.title })
    };
    Ok(games.into_iter().filter(|g| g.downloaded).filter_map(found).collect())
}

fn make(
    screen: &Screen,
    found: &[FoundGame],
    from: Option<&Path>,
    title: Option<String>,
    out: &Path,
) -> Result<(), ErrorBody> {
    // A second edition of the same number would be accepted by nobody who has the first.
    let former = from.or_else(|| out.exists().then_some(out)).map(read_text).transpose()?;
    let edition = make::next_edition(former, title, found);
    let toml = edition.to_catalog().and_then(|_| edition.to_toml());
    let toml = toml.map_err(|reason| invalid(out, reason))?;
    write(out, toml.as_bytes())?;
    let serial = edition.serial.unwrap_or_default();
    let games = human::count(edition.game.len(), "game");
    screen.say(format!("{}: edition {serial} with {games}.", out.display()));
    Ok(())
}

fn sign(screen: &Screen, file: &Path, key: &Path) -> Result<(), ErrorBody> {
    let key = OrganiserKey::load(key).map_err(|e| e.to_contract())?;
    let bytes = text::read(file).map_err(|e| e.to_contract())?;
    let was_signed = signed::body(&bytes).len() != bytes.len();
    let changed = was_signed && signed::open(bytes.clone()).is_err();
    let bytes = if changed { raise_serial(file, &bytes)? } else { bytes };
    let signed = key.sign(&bytes).map_err(|e| invalid(file, e.to_string()))?;
    let opened = signed::open(signed.clone()).map_err(|e| invalid(file, e.to_string()))?;
    write(file, &signed)?;
    screen.say(format!("{}: edition {}, signed by {}.", file.display(), opened.serial, opened.key));
    Ok(())
}

/// Raises the serial number, which must tell a changed edition from the one signed before.
fn raise_serial(file: &Path, bytes: &[u8]) -> Result<Vec<u8>, ErrorBody> {
    let mut text = text::parse(bytes).map_err(|reason| invalid(file, reason))?;
    text.serial = text.serial.map(|serial| serial + 1);
    text.to_toml().map(String::into_bytes).map_err(|reason| invalid(file, reason))
}

fn show(screen: &Screen, file: &Path) -> Result<(), ErrorBody> {
    let bytes = text::read(file).map_err(|e| e.to_contract())?;
    let text = read_text(file)?;
    let catalog = text.to_catalog().map_err(|reason| invalid(file, reason))?;
    let signature = match signed::open(bytes) {
        Ok(signed) => format!("signed by {}", signed.key),
        Err(error) => error.to_string(),
    };
    let title = text.title.as_deref().unwrap_or("a catalogue");
    let serial = text.serial.map_or("without a serial number".to_owned(), |s| format!("edition {s}"));
    screen.say(format!("{title}, {serial}: {signature}"));
    table(&catalog).lines().into_iter().for_each(|line| screen.say(line));
    Ok(())
}

fn table(catalog: &Catalog) -> Table {
    let mut table = Table::new(&[
        ("GAME", Left),
        ("VERSION", Left),
        ("CONTENT", Left),
        ("PLAYERS", Left),
        ("GENRE", Left),
        ("COVER", Left),
        ("START", Left),
        ("TITLE", Left),
    ]);
    for (id, CatalogEntry { version, title, content, about }) in catalog.games() {
        let players = match about.players {
            None => String::new(),
            Some((min, max)) if min == max => min.to_string(),
            Some((min, max)) => format!("{min}-{max}"),
        };
        let cover =
            about.cover.as_deref().map_or("", |c| c.split([':', '/', ';']).next().unwrap_or_default());
        table.row([
            id.to_string(),
            version.to_string(),
            content.map_or("not pinned".to_owned(), |content| content.short()),
            players,
            about.genre.clone().unwrap_or_default(),
            cover.to_owned(),
            about.start.clone().unwrap_or_default(),
            title.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn verify(screen: &Screen, file: &Path, key: Option<CatalogKey>) -> Result<(), ErrorBody> {
    let signed = signed::load(file).map_err(|e| e.to_contract())?;
    if let Some(key) = key.filter(|key| *key != signed.key) {
        let (path, reason) = (file.to_owned(), format!("it is signed by {}", signed.key));
        return Err(CatalogError::NotSigned { path, key: key.to_string(), reason }.to_contract());
    }
    let games = human::count(signed.catalog.games().count(), "game");
    screen.say(format!("Valid: edition {} with {games}, signed by {}.", signed.serial, signed.key));
    Ok(())
}

fn read_text(path: &Path) -> Result<CatalogText, ErrorBody> {
    let bytes = text::read(path).map_err(|e| e.to_contract())?;
    text::parse(&bytes).map_err(|reason| invalid(path, reason))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ErrorBody> {
    let failed = |source| CatalogError::Write { path: path.to_owned(), source }.to_contract();
    atomic_file::write(path, bytes).map_err(failed)
}

fn invalid(path: &Path, reason: String) -> ErrorBody {
    CatalogError::Invalid { path: path.to_owned(), reason }.to_contract()
}
