//! Other programs that do the same work, set up as well as we know how.

pub mod aria2;
pub mod http;
pub mod iperf3;
pub mod libtorrent;
pub mod quic;
pub mod torrent;
pub mod tracker;
