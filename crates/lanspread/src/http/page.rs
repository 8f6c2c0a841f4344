//! What the page needs beside the commands: its first state, who offers a game, settings, packing, opening a folder.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::Response;
use lanspread_api::page::{Offer, Offers, Pack, Packed, Settings, Setup};
use lanspread_api::reply::{Empty, Room};
use lanspread_api::{ErrorBody, ErrorCode, ReplyData, Request, render};
use lanspread_peer::command::Command;
use lanspread_types::GameId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Interface, give, too_large};
use crate::{host, pack};

pub type Sent = Result<Bytes, BytesRejection>;

pub async fn snapshot(State(interface): State<Arc<Interface>>) -> Response<Body> {
    give(interface.live.snapshot().await)
}

/// Everybody who offers a game, in whatever version.
pub async fn offers(State(interface): State<Arc<Interface>>, Path(game): Path<String>) -> Response<Body> {
    give(offers_of(&interface, game).await)
}

async fn offers_of(interface: &Interface, game_id: String) -> Result<Offers, ErrorBody> {
    let reply = interface.host.peer_soon().await?.command(Command::ListPeers).await;
    let reply = reply.map_err(|e| ErrorBody::from(&e))?;
    let ReplyData::ListPeers(list) =
        render::reply_data(&Request::ListPeers, reply, interface.host.state_dir())?
    else {
        return Err(ErrorBody::new(ErrorCode::Internal, "the peer answered something else"));
    };
    let mut offers = Vec::new();
    for peer in list.peers {
        for game in peer.games.into_iter().filter(|game| game.game_id == game_id) {
            offers.push(Offer { peer_id: peer.peer_id.clone(), name: peer.name.clone(), game });
        }
    }
    Ok(Offers { game_id, offers })
}

/// The room as to one game: that game in full, and of the others what is being fetched.
pub async fn room(State(interface): State<Arc<Interface>>, Path(game): Path<String>) -> Response<Body> {
    give(room_for(&interface, &game).await)
}

async fn room_for(interface: &Interface, game_id: &str) -> Result<Room, ErrorBody> {
    let reply = interface.host.peer_soon().await?.command(Command::Room).await;
    let reply = reply.map_err(|e| ErrorBody::from(&e))?;
    let ReplyData::Room(mut room) = render::reply_data(&Request::Room, reply, interface.host.state_dir())?
    else {
        return Err(ErrorBody::new(ErrorCode::Internal, "the peer answered something else"));
    };
    room.games.retain(|game| game.game_id == game_id || !game.fetching.is_empty());
    for game in room.games.iter_mut().filter(|game| game.game_id != game_id) {
        // A thousand games times two hundred guests would be told every other second.
        (game.ready, game.other, game.without) = Default::default();
    }
    Ok(room)
}

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

/// Shows a game's folder in the system's file manager, on the machine where the peer runs.
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

/// Makes a folder into a game of the library. Goes on when the page is closed meanwhile.
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
            ErrorBody::new(ErrorCode::InvalidField, format!("{version:?} is no version: {e}"))
        })?,
        cover: said(cover).map(|path| host::folder(&path)).transpose()?,
        title: said(title),
        start: said(start),
        args: Vec::new(),
    };
    let none = || ErrorBody::new(ErrorCode::NotSetUp, "no games folder has been chosen yet");
    let games_dir = interface.host.games_dir().ok_or_else(none)?;
    let busy = |_| ErrorBody::new(ErrorCode::Busy, "another folder is being made into a game");
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

pub fn parse<T: DeserializeOwned>(body: Sent) -> Result<T, ErrorBody> {
    let body = body.map_err(|_| too_large())?;
    serde_json::from_slice(&body).map_err(|e| ErrorBody::new(ErrorCode::InvalidField, e.to_string()))
}
