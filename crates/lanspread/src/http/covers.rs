//! Serves a game's cover: `cover.png`, `.jpg`, `.jpeg` or `.webp` beside its `version.ini`.
//!
//! The file came from other people. So its size is bounded, its first bytes must match its name, it must be an
//! ordinary file, and the browser gets it as that type and no other.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::extract::{self, State};
use axum::http::{HeaderValue, Response, header};
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::game_file_folders;
use lanspread_types::GameId;

use super::{Interface, refuse};

/// Largest cover that is served, in bytes.
const COVER_BYTES_MAX: u64 = 4 << 20;
/// File names in order of preference, with the type that each promises.
const NAMES: [(&str, &str); 4] = [
    ("cover.webp", "image/webp"),
    ("cover.png", "image/png"),
    ("cover.jpg", "image/jpeg"),
    ("cover.jpeg", "image/jpeg"),
];

/// `GET /api/v1/cover/{game}`.
pub async fn cover(
    State(interface): State<Arc<Interface>>,
    extract::Path(game): extract::Path<String>,
) -> Response<Body> {
    let found = GameId::new(game).ok().zip(interface.host.games_dir());
    let read = tokio::task::spawn_blocking(move || {
        found
            .and_then(|(game, games)| game_file_folders(&games, &game).iter().find_map(|folder| read(folder)))
    });
    match read.await {
        Ok(Some((kind, bytes))) => {
            let mut response = Response::new(Body::from(bytes));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            // The page adds a tag to the address that changes with the picture.
            headers.insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static("private, max-age=31536000, immutable"),
            );
            response
        }
        _ => refuse(ErrorBody::new(ErrorCode::UnknownGame, "this game has no cover here")),
    }
}

/// Returns a tag for each game that has a cover; it changes with the picture.
pub fn all(games_dir: &Path, games: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
    let tagged = |game: String| {
        let folders = game_file_folders(games_dir, &GameId::new(game.clone()).ok()?);
        let (_, metadata, _) = folders.iter().find_map(|folder| find(folder))?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((game, format!("{:x}-{:x}", modified.as_millis(), metadata.len())))
    };
    games.into_iter().filter_map(tagged).collect()
}

fn find(folder: &Path) -> Option<(PathBuf, Metadata, &'static str)> {
    NAMES.iter().find_map(|(name, kind)| {
        let path = folder.join(name);
        let metadata = fs::symlink_metadata(&path).ok()?;
        (metadata.is_file() && metadata.len() <= COVER_BYTES_MAX).then_some((path, metadata, *kind))
    })
}

fn read(folder: &Path) -> Option<(&'static str, Vec<u8>)> {
    let (path, _, kind) = find(folder)?;
    let bytes = fs::read(path).ok()?;
    is(kind, &bytes).then_some((kind, bytes))
}

/// Returns whether the bytes begin as this type requires (PNG and JFIF specifications, WebP container format).
fn is(kind: &str, bytes: &[u8]) -> bool {
    match kind {
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => bytes.starts_with(&[0xff, 0xd8, 0xff]),
        "image/webp" => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_must_match_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let png = b"\x89PNG\r\n\x1a\nrest";
        for (name, bytes, expected) in [
            ("cover.png", &png[..], Some("image/png")),
            ("cover.jpg", png, None),
            ("cover.jpeg", b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            ("cover.webp", b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            ("cover.webp", b"<svg onload='alert(1)'>", None),
            ("cover.png", b"<!doctype html>", None),
            ("cover.svg", b"<svg/>", None),
            ("cover.png", b"", None),
        ] {
            let folder = tempfile::tempdir_in(dir.path()).unwrap();
            fs::write(folder.path().join(name), bytes).unwrap();
            assert_eq!(read(folder.path()).map(|(kind, _)| kind), expected, "{name}");
        }
    }

    #[test]
    fn oversized_file_or_folder_is_no_cover() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("cover.png")).unwrap();
        assert!(find(dir.path()).is_none());
        let large = fs::File::create(dir.path().join("cover.jpg")).unwrap();
        large.set_len(COVER_BYTES_MAX + 1).unwrap();
        assert!(find(dir.path()).is_none());
        large.set_len(COVER_BYTES_MAX).unwrap();
        assert!(find(dir.path()).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn link_is_no_cover() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret.png");
        fs::write(&secret, b"\x89PNG\r\n\x1a\n").unwrap();
        let game = dir.path().join("game");
        fs::create_dir(&game).unwrap();
        std::os::unix::fs::symlink(&secret, game.join("cover.png")).unwrap();
        assert!(read(&game).is_none());
    }
}
