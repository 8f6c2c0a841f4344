//! Registry of all frame numbers. A number is never given to another frame, not even in a later version.
//!
//! The fields of each frame are listed in `docs/protocol.md`.

/// First frame of each side on a control connection, in every version of the protocol.
pub const HELLO: u8 = 0x01;

// Control connection of a closed party, right after the hellos (`crate::party::PartyFrame`).
/// `PartyFrame::Share`: half of the key exchange.
pub const PARTY_SHARE: u8 = 0x02;
/// `PartyFrame::Confirm`: proof of the passphrase.
pub const PARTY_CONFIRM: u8 = 0x03;
/// `PartyFrame::Welcome`: name and program, after the proof.
pub const PARTY_WELCOME: u8 = 0x04;
/// `PartyFrame::Rejected`: the other peer is not let in.
pub const PARTY_REJECTED: u8 = 0x05;

// Control connection, both directions (`lanspread_types::message::Message`).
/// `Message::Library`: games that the sender serves.
pub const LIBRARY: u8 = 0x10;
/// `Message::Interested`: the sender downloads a content.
pub const INTERESTED: u8 = 0x11;
/// `Message::NotInterested`: takes `INTERESTED` back.
pub const NOT_INTERESTED: u8 = 0x12;
/// `Message::HaveMap`: chunks that the sender has; answers `INTERESTED`.
pub const HAVE_MAP: u8 = 0x13;
/// `Message::Have`: new chunks of the sender.
pub const HAVE: u8 = 0x14;
/// `Message::Introduce`: addresses of other peers.
pub const INTRODUCE: u8 = 0x15;
/// `Message::Ping`: asks for `PONG`.
pub const PING: u8 = 0x16;
/// `Message::Pong`: answers `PING`.
pub const PONG: u8 = 0x17;
/// `Message::Goodbye`: the sender leaves.
pub const GOODBYE: u8 = 0x18;
/// `Message::CatalogOffer`: the sender has a signed catalogue.
pub const CATALOG_OFFER: u8 = 0x1a;
/// `Message::CatalogWanted`: asks for a part of it.
pub const CATALOG_WANTED: u8 = 0x1b;
/// `Message::CatalogPart`: answers `CATALOG_WANTED`.
pub const CATALOG_PART: u8 = 0x1c;
/// `Message::StateWanted`: asks for `STATE`.
pub const STATE_WANTED: u8 = 0x1d;
/// `Message::State`: downloads, catalogue and traffic of the sender.
pub const STATE: u8 = 0x1e;
/// `Message::DownloadWanted`: asks the receiver to download a game.
pub const DOWNLOAD_WANTED: u8 = 0x1f;
/// `Message::Progress`: every chunk below a number is had.
pub const PROGRESS: u8 = 0x40;
/// `Message::ProgressWanted`: asks for `PROGRESS`.
pub const PROGRESS_WANTED: u8 = 0x41;
/// `Message::PlaceWanted`: asks for a place in a relay line.
pub const PLACE_WANTED: u8 = 0x42;
/// `Message::Place`: gives a place in a relay line.
pub const PLACE: u8 = 0x43;

// Data connection, receiver to source (`lanspread_types::message::Request`).
/// `Request::Manifest`: asks for the manifest of a content.
pub const REQUEST_MANIFEST: u8 = 0x20;
/// `Request::Chunk`: asks for one chunk.
pub const REQUEST_CHUNK: u8 = 0x21;
/// `Request::Cancel`: the answer is no longer needed.
pub const REQUEST_CANCEL: u8 = 0x22;
/// `Request::Follow`: asks for chunks as the source gets them.
pub const REQUEST_FOLLOW: u8 = 0x23;

// Data connection, source to receiver (`lanspread_types::message::Response`).
/// `Response::Chunk`: a chunk follows.
pub const RESPONSE_CHUNK: u8 = 0x30;
/// `Response::Manifest`: an encoded manifest follows.
pub const RESPONSE_MANIFEST: u8 = 0x31;
/// `Response::Refused`: no payload, with the reason.
pub const RESPONSE_REFUSED: u8 = 0x32;
