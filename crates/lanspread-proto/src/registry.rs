//! Every frame number of the protocol. A number is never given to another frame, not even in a later version.

/// First frame of each side on a control connection, in every version of the protocol.
pub const HELLO: u8 = 0x01;

// Control connection of a closed party, right after the hellos.
pub const PARTY_SHARE: u8 = 0x02;
pub const PARTY_CONFIRM: u8 = 0x03;
pub const PARTY_WELCOME: u8 = 0x04;
pub const PARTY_REJECTED: u8 = 0x05;

// Control connection, both directions.
pub const LIBRARY: u8 = 0x10;
pub const INTERESTED: u8 = 0x11;
pub const NOT_INTERESTED: u8 = 0x12;
pub const HAVE_MAP: u8 = 0x13;
pub const HAVE: u8 = 0x14;
pub const INTRODUCE: u8 = 0x15;
pub const PING: u8 = 0x16;
pub const PONG: u8 = 0x17;
pub const GOODBYE: u8 = 0x18;
pub const CATALOG_OFFER: u8 = 0x1a;
pub const CATALOG_WANTED: u8 = 0x1b;
pub const CATALOG_PART: u8 = 0x1c;
pub const STATE_WANTED: u8 = 0x1d;
pub const STATE: u8 = 0x1e;
pub const FETCH_WANTED: u8 = 0x1f;
pub const PROGRESS: u8 = 0x40;
pub const PROGRESS_WANTED: u8 = 0x41;
pub const PLACE_WANTED: u8 = 0x42;
pub const PLACE: u8 = 0x43;

// Data connection, receiver to source.
pub const REQUEST_MANIFEST: u8 = 0x20;
pub const REQUEST_CHUNK: u8 = 0x21;
pub const REQUEST_CANCEL: u8 = 0x22;
pub const REQUEST_FOLLOW: u8 = 0x23;

// Data connection, source to receiver.
pub const RESPONSE_CHUNK: u8 = 0x30;
pub const RESPONSE_MANIFEST: u8 = 0x31;
pub const RESPONSE_REFUSED: u8 = 0x32;
