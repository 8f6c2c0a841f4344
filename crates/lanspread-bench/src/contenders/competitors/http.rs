//! One HTTP server and `curl`, for calibration: what a room gets whose receivers do not help each other.
//!
//! The server is our own and runs in its own process (`lanspread-bench serve`), with a thread for each connection and
//! blocks of 256 KiB. `curl` neither verifies nor encrypts.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::Result;

use super::pull::{self, PullParty};
use crate::contenders::contender::{Contender, Party, Room};
use crate::game::ARCHIVE;
use crate::lab::has_tool;
use crate::process::Process;

const PORT: u16 = 8080;
const BLOCK_BYTES: usize = 256 << 10;

/// The contender.
#[derive(Debug)]
pub struct Http;

impl Contender for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn unavailable(&self) -> Option<String> {
        (!has_tool("curl")).then(|| "curl is not installed".to_owned())
    }

    fn unsuited(&self, liar: bool) -> Option<&'static str> {
        liar.then_some("it has one source and verifies nothing")
    }

    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>> {
        let (server, addr) = start(room)?;
        PullParty::prepare(room, server, |host, output| {
            let mut command = host.command("curl");
            command.args(["--silent", "--fail", "--noproxy", "*", "--output"]).arg(output);
            command.arg(format!("http://{addr}/{ARCHIVE}"));
            Ok(command)
        })
    }
}

/// Starts the server on the seed's host.
pub fn start(room: &Room<'_>) -> Result<(Process, SocketAddr)> {
    let addr = SocketAddr::new(room.lab.hosts[Room::SEED].ip(), PORT);
    let mut command = room.lab.hosts[Room::SEED].command(std::env::current_exe()?);
    command.arg("serve").arg(addr.to_string()).arg(&room.game.archive);
    Ok((pull::start_server("HTTP server", &mut command)?, addr))
}

/// Runs the server: answers every request with the one file.
pub fn serve(addr: SocketAddr, file: &Path) -> Result<()> {
    let listener = TcpListener::bind(addr)?;
    writeln!(std::io::stdout(), "ready")?;
    for stream in listener.incoming().map_while(Result::ok) {
        let file = file.to_owned();
        // A client that leaves early does not concern the others.
        thread::spawn(move || drop(send(stream, &file)));
    }
    Ok(())
}

fn send(mut stream: TcpStream, file: &Path) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            n => stream.write_all(&block[..n])?,
        }
    }
}
