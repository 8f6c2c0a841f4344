//! What a game that is here is called by its own `lanspread.toml`, where the catalogue says nothing.

use std::collections::BTreeMap;
use std::path::Path;

use lanspread_api::reply::GameInfo;
use lanspread_peer::GameFile;

use crate::host::Host;

/// The titles of these games, of those that have one.
pub fn all(games_dir: &Path, games: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
    let titled = |game: String| {
        let title = GameFile::read(&games_dir.join(&game)).ok()??.title?;
        Some((game, title))
    };
    games.into_iter().filter_map(titled).collect()
}

/// Adds them to a list of games.
pub async fn fill(host: &Host, games: &mut [GameInfo]) {
    let wanted = games.iter().filter(|game| wants(game)).map(|game| game.game_id.clone()).collect::<Vec<_>>();
    let Some(dir) = host.games_dir().filter(|_| !wanted.is_empty()) else { return };
    let read = tokio::task::spawn_blocking(move || all(&dir, wanted));
    let mut titles = read.await.unwrap_or_default();
    for game in games.iter_mut().filter(|game| wants(game)) {
        game.title = titles.remove(&game.game_id);
    }
}

/// Whether nobody has named it, and its folder could.
pub fn wants(game: &GameInfo) -> bool {
    game.title.is_none() && (game.downloaded || game.installed)
}
