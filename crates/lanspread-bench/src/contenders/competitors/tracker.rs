//! A tracker of one torrent (BEP 3 over HTTP, compact answers of BEP 23): it tells each client of all clients that
//! asked before.
//!
//! It runs in its own process in the namespace of the switch (`lanspread-bench tracker`) and prints a line for each
//! announcement. It keeps nothing on disk.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::lab::Lab;
use crate::process::Process;

const PORT: u16 = 6969;
/// Seconds after which a client should ask again.
const INTERVAL: u32 = 5;

/// A running tracker.
#[derive(Debug)]
pub struct Tracker {
    _process: Process,
    announced: Arc<Mutex<Vec<IpAddr>>>,
}

impl Tracker {
    /// Starts a tracker in the lab's switch.
    pub fn start(lab: &Lab) -> Result<Self> {
        let addr = SocketAddr::new(lab.switch.ip(), PORT);
        let mut command = lab.switch.command(std::env::current_exe()?);
        command.args(["tracker", &addr.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::spawn("tracker", &mut command)?;
        let mut lines = BufReader::new(process.take_stdout()?);
        lines.read_line(&mut String::new()).context("the tracker did not start")?;
        let announced = Arc::new(Mutex::new(Vec::new()));
        let seen = announced.clone();
        thread::spawn(move || note(lines, &seen));
        Ok(Self { _process: process, announced })
    }

    /// Address that clients announce themselves to.
    pub fn url(lab: &Lab) -> String {
        format!("http://{}/announce", SocketAddr::new(lab.switch.ip(), PORT))
    }

    /// Returns whether a client at this address has announced itself.
    pub fn knows(&self, ip: IpAddr) -> bool {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).contains(&ip)
    }
}

fn note(lines: BufReader<ChildStdout>, seen: &Mutex<Vec<IpAddr>>) {
    for ip in lines.lines().map_while(Result::ok).filter_map(|line| line.parse().ok()) {
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(ip);
    }
}

/// Runs the tracker.
pub fn serve(addr: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(addr)?;
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    let mut clients: Vec<SocketAddr> = Vec::new();
    for stream in listener.incoming() {
        if let Ok(client) = stream.map_err(Into::into).and_then(|stream| answer(stream, &clients)) {
            if !clients.contains(&client) {
                clients.push(client);
            }
            writeln!(out, "{}", client.ip())?;
        }
    }
    Ok(())
}

fn answer(mut stream: TcpStream, clients: &[SocketAddr]) -> Result<SocketAddr> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let Some(port) = port_of(&request) else { bail!("no port in {request:?}") };
    let client = SocketAddr::new(stream.peer_addr()?.ip(), port);
    let body = peers(clients.iter().filter(|other| **other != client));
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)?;
    Ok(client)
}

fn port_of(request: &str) -> Option<u16> {
    let query = request.split_whitespace().nth(1)?.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix("port="))?.parse().ok()
}

fn peers<'a>(clients: impl Iterator<Item = &'a SocketAddr>) -> Vec<u8> {
    let mut list = Vec::new();
    for client in clients {
        if let IpAddr::V4(ip) = client.ip() {
            list.extend_from_slice(&ip.octets());
            list.extend_from_slice(&client.port().to_be_bytes());
        }
    }
    let mut body = format!("d8:intervali{INTERVAL}e12:min intervali1e5:peers{}:", list.len()).into_bytes();
    body.extend_from_slice(&list);
    body.push(b'e');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcement_is_read_and_answered() {
        let request = "GET /announce?info_hash=%00a&port=6881&left=0&compact=1 HTTP/1.1\r\n";
        assert_eq!(port_of(request), Some(6881));
        assert_eq!(port_of("GET / HTTP/1.1"), None);
        let others: [SocketAddr; 1] = ["10.0.0.7:258".parse().unwrap()];
        assert_eq!(
            peers(others.iter()),
            b"d8:intervali5e12:min intervali1e5:peers6:\x0a\x00\x00\x07\x01\x02e"
        );
    }
}
