//! Titles of local games from their own `lanspread.toml`, used where the catalogue names none.

use std::collections::BTreeMap;
use std::path::Path;

use lanspread_api::reply::GameInfo;
use lanspread_peer::{GameFile, game_file_folders};
use lanspread_types::GameId;

use crate::host::Host;

/// Reads the titles of these games; games without one are left out.
pub fn all(games_dir: &Path, games: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
    let titled = |game: String| {
        let folders = game_file_folders(games_dir, &GameId::new(game.clone()).ok()?);
        let file = folders.iter().find_map(|folder| GameFile::read(folder).ok()?)?;
        Some((game, file.title?))
    };
    games.into_iter().filter_map(titled).collect()
}

/// Fills in missing titles of a list of games.
pub async fn fill(host: &Host, games: &mut [GameInfo]) {
    let wanted = games.iter().filter(|game| wants(game)).map(|game| game.game_id.clone()).collect::<Vec<_>>();
    let Some(dir) = host.games_dir().filter(|_| !wanted.is_empty()) else { return };
    let read = tokio::task::spawn_blocking(move || all(&dir, wanted));
    let mut titles = read.await.unwrap_or_default();
    for game in games.iter_mut().filter(|game| wants(game)) {
        game.title = titles.remove(&game.game_id);
    }
}

/// Returns whether the game has no title and a local folder that could name it.
pub fn wants(game: &GameInfo) -> bool {
    game.title.is_none() && (game.downloaded || game.installed)
}
