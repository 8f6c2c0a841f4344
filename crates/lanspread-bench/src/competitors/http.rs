//! One HTTP server and `curl`, as calibration: what a room gets that does not help one another.
//!
//! The server is our own, in a process of its own (`lanspread-bench serve`): a thread for each connection, blocks of
//! 256 KiB. `curl` neither verifies nor encrypts.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::contender::{Contender, Party, Room};
use crate::game::ARCHIVE;
use crate::lab::has_tool;
use crate::process::Process;

const PORT: u16 = 8080;
const BLOCK_BYTES: usize = 256 << 10;

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
        let addr = SocketAddr::new(room.lab.hosts[Room::SEED].ip(), PORT);
        let mut command = room.lab.hosts[Room::SEED].command(std::env::current_exe()?);
        command.arg("serve").arg(addr.to_string()).arg(&room.game.archive);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Process::spawn("HTTP server", &mut command)?;
        BufReader::new(server.take_stdout()?)
            .read_line(&mut String::new())
            .context("the server did not start")?;
        let start = |receiver| {
            let output = room.scratch.fresh(&format!("receiver{receiver}"))?.join(ARCHIVE);
            let mut command = room.lab.hosts[room.host_of(receiver)].command("curl");
            command.args(["--silent", "--fail", "--noproxy", "*", "--output"]).arg(&output);
            command.arg(format!("http://{addr}/{ARCHIVE}")).stdin(Stdio::null());
            anyhow::Ok((command, output))
        };
        let starts = (0..room.receivers).map(start).collect::<Result<Vec<_>>>()?;
        let clients = starts.iter().map(|_| None).collect();
        Ok(Box::new(HttpParty { server, clients, starts }))
    }
}

struct HttpParty {
    server: Process,
    clients: Vec<Option<(Process, Option<Instant>)>>,
    starts: Vec<(Command, PathBuf)>,
}

impl Party for HttpParty {
    fn start(&mut self, receiver: usize) -> Result<()> {
        self.clients[receiver] = Some((Process::spawn("curl", &mut self.starts[receiver].0)?, None));
        Ok(())
    }

    fn finished_at(&mut self, receiver: usize) -> Result<Option<Instant>> {
        let Some((process, finished)) = &mut self.clients[receiver] else { return Ok(None) };
        if finished.is_none() {
            match process.ended()? {
                Some(true) => *finished = Some(Instant::now()),
                Some(false) => bail!("curl failed"),
                None => {}
            }
        }
        Ok(*finished)
    }

    fn kill(&mut self, receiver: usize) {
        if let Some((process, _)) = &mut self.clients[receiver] {
            process.kill();
        }
    }

    fn output(&self, receiver: usize) -> PathBuf {
        self.starts[receiver].1.clone()
    }

    fn processes(&self) -> Vec<&Process> {
        let clients = self.clients.iter().flatten().map(|(process, _)| process);
        std::iter::once(&self.server).chain(clients).collect()
    }
}

/// The process itself: answers whatever is asked with the one file.
pub fn serve(addr: SocketAddr, file: &Path) -> Result<()> {
    let listener = TcpListener::bind(addr)?;
    writeln!(std::io::stdout(), "ready")?;
    for stream in listener.incoming().map_while(Result::ok) {
        let file = file.to_owned();
        // A client that leaves early is no concern of the others.
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
