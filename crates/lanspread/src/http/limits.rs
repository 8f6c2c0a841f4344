//! Bounds of the HTTP interface and of the invite page.

use std::time::Duration;

lanspread_types::limits! {
    /// Most connections to the interface at a time: a browser takes six for a page, a command one.
    pub const CONNECTIONS_MAX: usize = 128;
    /// Most connections of one address to the interface, where other machines can reach it.
    pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 16;
    /// Largest body of a request, in bytes.
    pub const BODY_BYTES_MAX: usize = 64 << 10;
    /// Longest wait for the head of a request: a silent connection is closed, and a browser opens another one when it needs it.
    pub const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
    /// Longest time in which a reader takes nothing of what waits for it.
    pub const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
    /// Most readers of `/events` at a time.
    pub const EVENT_READERS_MAX: usize = 16;
    /// Most lines that wait for the socket of one reader of `/events`.
    pub const EVENT_LINES_MAX: usize = 64;
    /// Most open pages that are kept current.
    pub const PAGE_READERS_MAX: usize = 16;
    /// Most changes that wait for the socket of one page; a page that is further behind starts anew.
    pub const PAGE_CHANGES_MAX: usize = 256;
    /// Most entries in the page's log.
    pub const LOG_ENTRIES_MAX: usize = 500;
    /// Most connections to the invite page at a time.
    pub const INVITE_CONNECTIONS_MAX: usize = 64;
    /// Most connections of one address to the invite page.
    pub const INVITE_CONNECTIONS_PER_ADDRESS_MAX: usize = 8;
    /// Most guests that fetch the program at a time.
    pub const INVITE_GUESTS_MAX: usize = 8;
    /// Longest time that a guest may take for the program: 30 MB at half a megabit per second.
    pub const INVITE_TIME_MAX: Duration = Duration::from_secs(8 * 60);
    /// Bytes of the program that are read at once for a guest.
    pub const INVITE_PIECE_BYTES: usize = 256 << 10;
    /// Most of these pieces that wait for a guest's socket.
    pub const INVITE_PIECES_MAX: usize = 4;
}
