//! Page requests that change the whole peer: its party, its catalogue, and whether sending is held back.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use lanspread_api::page::{CatalogOrder, PartyOrder, QuietOrder};
use lanspread_api::reply::Empty;
use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::catalog::choice::CatalogWish;
use lanspread_peer::catalog::{signed, text};
use lanspread_peer::contract::ToContract;
use lanspread_types::{CatalogKey, PartyName, PassPhrase};

use super::page::{Sent, parse};
use super::{Interface, give};
use crate::host;
use crate::settings::KeptParty;

/// `POST /api/v1/party`.
pub async fn party(State(interface): State<Arc<Interface>>, body: Sent) -> Response<Body> {
    let done = match parse::<PartyOrder>(body).and_then(|order| wanted_party(&order)) {
        Ok(party) => interface.host.join_party(party).await,
        Err(error) => Err(error),
    };
    interface.live.look_again();
    give(done.map(|()| Empty {}))
}

fn wanted_party(order: &PartyOrder) -> Result<Option<KeptParty>, ErrorBody> {
    let Some(name) = &order.name else { return Ok(None) };
    let name =
        PartyName::new(name.trim()).map_err(|e| ErrorBody::new(ErrorCode::InvalidField, e.to_string()))?;
    let phrase = order.phrase.clone().unwrap_or_default();
    let valid = PassPhrase::new(&phrase).map_err(|e| {
        let mut error = ErrorBody::new(ErrorCode::PartyInvalid, e.to_string());
        error.hint = None;
        error
    })?;
    lanspread_peer::pass_phrase::join(name.clone(), valid).map_err(|e| e.to_contract())?;
    Ok(Some(KeptParty { name, phrase }))
}

/// `POST /api/v1/catalog`.
pub async fn catalog(State(interface): State<Arc<Interface>>, body: Sent) -> Response<Body> {
    let done = match parse::<CatalogOrder>(body).and_then(|order| wish(&order)) {
        Ok(wish) => interface.host.go_by(wish).await,
        Err(error) => Err(error),
    };
    interface.live.look_again();
    give(done.map(|()| Empty {}))
}

fn wish(order: &CatalogOrder) -> Result<CatalogWish, ErrorBody> {
    let key = order.key.as_deref().map(str::trim).filter(|key| !key.is_empty());
    let key = key.map(str::parse::<CatalogKey>).transpose();
    let key = key.map_err(|e| ErrorBody::new(ErrorCode::InvalidField, format!("that is not a key: {e}")))?;
    let file = order.file.as_deref().filter(|file| !file.trim().is_empty()).map(host::folder).transpose()?;
    if let Some(path) = &file {
        let bytes = text::read(path).map_err(|e| e.to_contract())?;
        if signed::body(&bytes).len() == bytes.len() {
            // An unsigned catalogue is not kept, so the next start would know nothing of it.
            let message = format!("{} is not signed", path.display());
            let mut error = ErrorBody::new(ErrorCode::CatalogInvalid, message);
            error.hint = Some("sign it (lanspread catalog sign), or start with --catalog".to_owned());
            return Err(error);
        }
    }
    Ok(CatalogWish { none: key.is_none() && file.is_none(), key, file })
}

/// `POST /api/v1/quiet`.
pub async fn upload_hold(State(interface): State<Arc<Interface>>, body: Sent) -> Response<Body> {
    let done = match parse::<QuietOrder>(body) {
        Ok(order) => interface.host.set_upload_hold(order.on).await,
        Err(error) => Err(error),
    };
    interface.live.look_again();
    give(done.map(|()| Empty {}))
}
