//! Serves a router to strangers with bounds: connections in all and per address, and the time that a connection may
//! stay silent or take nothing.
//!
//! Every connection takes a file descriptor, and the library needs some as well, so no idle connection is kept.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lanspread_types::failpoint;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutWriter;

use super::limits::{HEAD_TIME_MAX, WRITE_STALL_MAX};

/// Pause after a failed accept, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections of one address at a time.
    pub per_address: usize,
    /// Longest wait for the head of a request.
    pub head_time: Duration,
    /// Longest time in which a reader takes no bytes.
    pub write_stall: Duration,
}

impl Bounds {
    /// Bounds with the usual times.
    pub const fn new(connections: usize, per_address: usize) -> Self {
        Self { connections, per_address, head_time: HEAD_TIME_MAX, write_stall: WRITE_STALL_MAX }
    }
}

/// Serves until `ended` is ready, then lets pending answers finish.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, ended: impl Future<Output = ()>) {
    let (places, mut connections) = (Places::new(bounds), JoinSet::new());
    let (end, ending) = tokio::sync::watch::channel(());
    tokio::pin!(ended);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut ended => break,
        };
        match accepted {
            Ok((socket, from)) => {
                // A connection over a bound is closed at once.
                let Some(place) = places.take(from.ip()) else { continue };
                connections.spawn(converse(socket, router.clone(), bounds, place, ending.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a browser's connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, end));
    while connections.join_next().await.is_some() {}
}

/// Answers requests on one connection until it ends. Errors are dropped, because nobody is left to hear them.
async fn converse(
    socket: TcpStream,
    router: Router,
    bounds: Bounds,
    _place: Place,
    mut ending: tokio::sync::watch::Receiver<()>,
) {
    let mut stream = TimeoutWriter::new(socket);
    stream.set_timeout(Some(bounds.write_stall));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    if !failpoint!("wait-for-heads") {
        http.header_read_timeout(bounds.head_time);
    }
    let service = TowerToHyperService::new(router);
    let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        // The sender is dropped when serving ends.
        _ = ending.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Counts the connections of one listener.
#[derive(Debug, Clone)]
struct Places {
    bounds: Bounds,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Place of one connection; dropping it frees the place.
#[derive(Debug)]
struct Place {
    places: Places,
    ip: IpAddr,
}

impl Places {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, taken: Arc::default() }
    }

    fn take(&self, ip: IpAddr) -> Option<Place> {
        let ip = ip.to_canonical();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&ip).copied().unwrap_or(0);
        if own >= self.bounds.per_address || taken.values().sum::<usize>() >= self.bounds.connections {
            return None;
        }
        taken.insert(ip, own + 1);
        Some(Place { places: self.clone(), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.ip) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                taken.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{Ipv4Addr, SocketAddr};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Short enough for a test, and long enough for a busy machine to answer in time.
    const HEAD_TIME: Duration = Duration::from_secs(2);

    async fn served(bounds: Bounds) -> (SocketAddr, tokio::task::AbortHandle) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let endless = || async { vec![0_u8; 64 << 20] };
        let router = Router::new().route("/", get(|| async { "hello" })).route("/large", get(endless));
        let serving = tokio::spawn(serve(listener, router, bounds, std::future::pending()));
        (addr, serving.abort_handle())
    }

    fn bounds(connections: usize, per_address: usize) -> Bounds {
        Bounds { head_time: HEAD_TIME, write_stall: HEAD_TIME, ..Bounds::new(connections, per_address) }
    }

    /// Connects from a given loopback address.
    async fn from(ip: [u8; 4], to: SocketAddr) -> io::Result<TcpStream> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((ip, 0)))?;
        socket.connect(to).await
    }

    async fn asked(mut socket: TcpStream, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        // A connection that is already closed takes no bytes.
        let _ = socket.write_all(head.as_bytes()).await;
        let mut text = String::new();
        let _ = socket.read_to_string(&mut text).await;
        text
    }

    #[tokio::test]
    async fn idle_connections_leave_room_for_other_addresses() {
        let (addr, _serving) = served(bounds(64, 8)).await;
        let mut idle = Vec::new();
        for _ in 0..1100 {
            idle.push(from([127, 0, 0, 2], addr).await.unwrap());
        }
        let closed = |socket: &TcpStream| matches!(socket.try_read(&mut [0]), Ok(0) | Err(_));
        assert!(asked(from([127, 0, 0, 3], addr).await.unwrap(), "/").await.ends_with("hello"));
        let mut open = 0;
        for socket in &idle {
            socket.readable().await.unwrap();
            open += usize::from(!closed(socket));
        }
        assert_eq!(open, 0, "those within the bound are closed when they have said nothing for long");
        assert!(asked(from([127, 0, 0, 2], addr).await.unwrap(), "/").await.ends_with("hello"));
    }

    #[tokio::test]
    async fn slow_request_head_closes_the_connection() {
        let (addr, _serving) = served(bounds(64, 8)).await;
        let mut socket = from([127, 0, 0, 2], addr).await.unwrap();
        let began = std::time::Instant::now();
        while socket.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(began.elapsed() < 10 * HEAD_TIME, "the connection stays open");
        }
    }

    #[tokio::test]
    async fn stalled_reader_loses_its_place() {
        let (addr, _serving) = served(bounds(1, 1)).await;
        let mut stalled = from([127, 0, 0, 2], addr).await.unwrap();
        stalled.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        stalled.readable().await.unwrap();
        let began = std::time::Instant::now();
        while !asked(from([127, 0, 0, 3], addr).await.unwrap(), "/").await.ends_with("hello") {
            assert!(began.elapsed() < 10 * HEAD_TIME, "the place stays taken");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(stalled);
    }
}
