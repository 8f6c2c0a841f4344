//! Lists folders for the page's folder dialog, because a browser does not tell a page where a folder is.

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::Query;
use axum::http::Response;
use lanspread_api::page::Folders;
use lanspread_api::{ErrorBody, ErrorCode};
use serde::Deserialize;

use super::give;
use crate::host;

/// Most folders and files in one list.
const ENTRIES_MAX: usize = 1000;
/// Extensions of the files that are listed.
const EXTENSIONS: [&str; 12] =
    ["exe", "bat", "cmd", "lnk", "sh", "x86_64", "appimage", "webp", "png", "jpg", "jpeg", "toml"];

/// Query of the folder list.
#[derive(Debug, Deserialize)]
pub struct Which {
    /// Folder to list. Absent means the home folder; empty means the list of drives, on Windows.
    path: Option<String>,
}

/// `GET /api/v1/folders`.
pub async fn list(query: Result<Query<Which>, axum::extract::rejection::QueryRejection>) -> Response<Body> {
    let path = query.ok().and_then(|Query(which)| which.path);
    let listed = tokio::task::spawn_blocking(move || match path.as_deref() {
        Some("") if cfg!(windows) => Ok(drives()),
        Some(text) => folders_in(&host::folder(text)?),
        None => folders_in(&etcetera::home_dir().unwrap_or_else(|_| PathBuf::from("/"))),
    });
    give(listed.await.unwrap_or_else(|e| Err(ErrorBody::new(ErrorCode::Internal, e.to_string()))))
}

fn folders_in(path: &Path) -> Result<Folders, ErrorBody> {
    let unreadable = |e: std::io::Error| {
        ErrorBody::new(ErrorCode::FolderUnusable, format!("{} cannot be read: {e}", path.display()))
    };
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(unreadable)?.filter_map(Result::ok) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(['.', '$']) || folders.len() + files.len() == ENTRIES_MAX {
            continue;
        }
        match entry.path() {
            at if at.is_dir() => folders.push(name),
            at if is_of_use(&at) => files.push(name),
            _ => {}
        }
    }
    folders.sort_by_key(|name: &String| name.to_lowercase());
    files.sort_by_key(|name: &String| name.to_lowercase());
    let parent = path.parent().map(|parent| parent.to_string_lossy().into_owned());
    let parent = parent.or_else(|| cfg!(windows).then(String::new));
    Ok(Folders { path: path.to_string_lossy().into_owned(), parent, folders, files })
}

/// Returns whether a file may interest a person who packs a game: a program, a picture or a catalogue.
fn is_of_use(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) && path.is_file()
}

fn drives() -> Folders {
    let letters = ('A'..='Z').map(|letter| format!("{letter}:\\"));
    Folders {
        path: String::new(),
        parent: None,
        folders: letters.filter(|d| Path::new(d).is_dir()).collect(),
        files: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_useful_files_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["zeta", "Alpha", "beta", ".hidden"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["file", "go.EXE", "Box.png", "secret.txt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let listed = folders_in(dir.path()).unwrap();
        assert_eq!(listed.folders, ["Alpha", "beta", "zeta"]);
        assert_eq!(listed.files, ["Box.png", "go.EXE"]);
        assert_eq!(listed.parent.as_deref(), dir.path().parent().and_then(Path::to_str));
        let missing = folders_in(&dir.path().join("missing")).unwrap_err();
        assert_eq!(missing.code, ErrorCode::FolderUnusable);
    }
}
