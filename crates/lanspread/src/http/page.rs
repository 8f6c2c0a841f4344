//! What the page needs beside the commands: its first state, the offers of a game, settings, packing, opening a
//! folder.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::Response;
use lanspread_api::page::{Offer, Offers, Pack, Packed, Settings, Setup};
use lanspread_api::reply::{Empty, Room};
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::command::{Command, Reply};
use lanspread_peer::contract::ToContract;
use lanspread_types::GameId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Interface, fields, give, too_large};
use crate::{host, pack};

/// Body of a request; an error if it is larger than [`super::limits::BODY_BYTES_MAX`].
pub type Sent = Result<Bytes, BytesRejection>;

/// `GET /api/v1/snapshot`.
pub async fn snapshot(State(interface): State<Arc<Interface>>) -> Response<Body> {
    give(interface.live.snapshot().await)
}

/// `GET /api/v1/offers/{game}`: all peers that offer a game, in any version.
pub async fn offers(State(interface): State<Arc<Interface>>, Path(game): Path<String>) -> Response<Body> {
    give(offers_of(&interface, &game).await)
}

async fn offers_of(interface: &Interface, game: &str) -> Result<Offers, ErrorBody> {
    let game_id = game_id(game)?.to_string();
    let reply = interface.host.peer_soon().await?.command(Command::ListPeers).await;
    let reply = reply.map_err(|e| e.to_contract())?;
    let Reply::Peers(list) = reply else {
        return Err(ErrorBody::new(ErrorCode::Internal, "the peer answered something else"));
    };
    let mut offers = Vec::new();
    for peer in list.to_contract().peers {
        for game in peer.games.into_iter().filter(|game| game.game_id == game_id) {
            offers.push(Offer { peer_id: peer.peer_id.clone(), name: peer.name.clone(), game });
        }
    }
    Ok(Offers { game_id, offers })
}

/// `GET /api/v1/room/{game}`: that game in full, and of other games only their downloads.
pub async fn room(State(interface): State<Arc<Interface>>, Path(game): Path<String>) -> Response<Body> {
    give(room_for(&interface, &game).await)
}

async fn room_for(interface: &Interface, game: &str) -> Result<Room, ErrorBody> {
    let game_id = game_id(game)?.to_string();
    let reply = interface.host.peer_soon().await?.command(Command::Room).await;
    let reply = reply.map_err(|e| e.to_contract())?;
    let Reply::Room(room) = reply else {
        return Err(ErrorBody::new(ErrorCode::Internal, "the peer answered something else"));
    };
    let mut room = room.to_contract();
    room.games.retain(|game| game.game_id == game_id || !game.fetching.is_empty());
    for game in room.games.iter_mut().filter(|game| game.game_id != game_id) {
        // In a full room this would send a thousand games times two hundred guests every other second.
        (game.ready, game.other, game.without) = Default::default();
    }
    Ok(room)
}

/// `POST /api/v1/setup`.
pub async fn set_up(State(interface): State<Arc<Interface>>, body: Sent) -> Response<Body> {
    let setup: Result<Setup, _> = parse(body);
    let host = interface.host.clone();
    let done = match setup {
        Ok(setup) => blocking(move || host.set_up(&setup)).await,
        Err(error) => Err(error),
    };
    interface.live.look_again();
    give(done)
}

/// `POST /api/v1/settings`.
pub async fn change_settings(State(interface): State<Arc<Interface>>, body: Sent) -> Response<Body> {
    let change: Result<Settings, _> = parse(body);
    let done = match change {
        Ok(change) => interface.host.change(change).await,
        Err(error) => Err(error),
    };
    interface.live.look_again();
    give(done)
}

#[derive(Debug, Deserialize)]
struct Which {
    game_id: String,
}

/// `POST /api/v1/open-folder`: shows a game's folder in the file manager of the machine that the peer runs on.
pub async fn open_folder(State(interface): State<Arc<Interface>>, body: Sent) -> Response<Body> {
    let which: Result<Which, _> = parse(body);
    let opened = which.and_then(|which| {
        let game = game_id(&which.game_id)?;
        let dir = interface.host.games_dir().map(|games| games.join(game.as_str()));
        let dir = dir.filter(|dir| dir.is_dir());
        let missing = || ErrorBody::new(ErrorCode::FolderUnusable, format!("{game} has no folder here"));
        let dir = dir.ok_or_else(missing)?;
        let failed =
            |e| ErrorBody::new(ErrorCode::FolderUnusable, format!("the folder cannot be shown: {e}"));
        open::that_detached(dir).map_err(failed)?;
        Ok(Empty {})
    });
    give(opened)
}

/// `POST /api/v1/pack`: packs a folder as a game of the library. Continues if the page is closed meanwhile.
pub async fn pack(State(interface): State<Arc<Interface>>, body: Sent) -> Response<Body> {
    give(pack_folder(&interface, body).await)
}

async fn pack_folder(interface: &Interface, body: Sent) -> Result<Packed, ErrorBody> {
    let Pack { folder, game_id: id, version, title, cover, start } = parse(body)?;
    let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let order = pack::Order {
        folder: host::folder(&folder)?,
        game: game_id(&id)?,
        version: version.parse().map_err(|e| {
            ErrorBody::new(ErrorCode::InvalidField, format!("{version:?} is not a version: {e}"))
        })?,
        cover: said(cover).map(|path| host::folder(&path)).transpose()?,
        title: said(title),
        start: said(start),
        args: Vec::new(),
    };
    let none = || ErrorBody::new(ErrorCode::NotSetUp, "no games folder has been chosen yet");
    let games_dir = interface.host.games_dir().ok_or_else(none)?;
    let busy = |_| ErrorBody::new(ErrorCode::Busy, "another game is being packed");
    let permit = interface.packing.clone().try_acquire_owned().map_err(busy)?;
    blocking(move || {
        let _permit = permit;
        pack::pack(&order, &games_dir, |_| {}).map_err(|e| e.to_body())
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ErrorBody> + Send + 'static,
) -> Result<T, ErrorBody> {
    let failed = |e: tokio::task::JoinError| Err(ErrorBody::new(ErrorCode::Internal, e.to_string()));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(failed)
}

fn game_id(text: &str) -> Result<GameId, ErrorBody> {
    GameId::new(text).map_err(|e| ErrorBody::new(ErrorCode::InvalidGameId, e.to_string()))
}

/// Parses the body of a request.
pub fn parse<T: DeserializeOwned>(body: Sent) -> Result<T, ErrorBody> {
    let body = body.map_err(|_| too_large())?;
    if body.is_empty() {
        return Err(ErrorBody::new(ErrorCode::MalformedJson, "the request has no body"));
    }
    // Without this step, an array of values would deserialise as a struct, too.
    let object = Value::Object(fields(&body)?);
    serde_json::from_value(object).map_err(|e| ErrorBody::new(ErrorCode::InvalidField, e.to_string()))
}
