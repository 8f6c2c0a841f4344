//! What this crate's failpoints do where it takes more than another decision. Only in builds with the feature
//! `sabotage`.

use std::time::Duration;

use tokio::net::TcpStream;

/// Leaks 64 KiB.
pub(crate) fn leak_memory() {
    Box::leak(vec![1_u8; 64 << 10].into_boxed_slice());
}

/// Leaks one socket of sixteen, by the remote port.
pub(crate) fn leak_some(socket: TcpStream) {
    if socket.peer_addr().is_ok_and(|from| from.port().is_multiple_of(16)) {
        std::mem::forget(socket);
    }
}

/// Waits a moment if there is an attack.
pub(crate) async fn wait_if(attacked: bool) {
    if attacked {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
