//! Other programs that do the same work, each configured as well as we know how.

pub mod aria2;
mod clicked;
pub mod copy;
pub mod http;
pub mod iperf3;
pub mod libtorrent;
pub mod pull;
pub mod quic;
pub mod scp;
pub mod torrent;
pub mod tracker;
pub mod transmission;
