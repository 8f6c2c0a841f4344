//! Contenders with one server and, for each receiver, a client that ends once it has the whole file.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::contenders::contender::{Party, Room};
use crate::game::ARCHIVE;
use crate::lab::Host;
use crate::process::Process;

/// A running server, and clients that the click starts.
#[derive(Debug)]
pub struct PullParty {
    server: Process,
    clients: Vec<Option<(Process, Option<Instant>)>>,
    starts: Vec<(Command, PathBuf)>,
}

impl PullParty {
    /// Prepares a client for each receiver; `client` makes the command that fetches the file to a path.
    pub fn prepare(
        room: &Room<'_>,
        server: Process,
        client: impl Fn(&Host, &Path) -> Result<Command>,
    ) -> Result<Box<dyn Party>> {
        let start = |receiver| {
            let output = room.scratch.fresh(&format!("receiver{receiver}"))?.join(ARCHIVE);
            let mut command = client(&room.lab.hosts[room.host_of(receiver)], &output)?;
            command.stdin(Stdio::null());
            anyhow::Ok((command, output))
        };
        let starts = (0..room.receivers).map(start).collect::<Result<Vec<_>>>()?;
        let clients = starts.iter().map(|_| None).collect();
        Ok(Box::new(Self { server, clients, starts }))
    }
}

/// Starts a server and waits for the line that it prints when it is ready.
pub fn start_server(name: &str, command: &mut Command) -> Result<Process> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Process::spawn(name, command)?;
    let read = BufReader::new(server.take_stdout()?).read_line(&mut String::new());
    read.with_context(|| format!("{name} did not start"))?;
    Ok(server)
}

impl Party for PullParty {
    fn start(&mut self, receiver: usize) -> Result<()> {
        self.clients[receiver] = Some((Process::spawn("a client", &mut self.starts[receiver].0)?, None));
        Ok(())
    }

    fn finished_at(&mut self, receiver: usize) -> Result<Option<Instant>> {
        let Some((process, finished)) = &mut self.clients[receiver] else { return Ok(None) };
        if finished.is_none() {
            match process.ended()? {
                Some(true) => *finished = Some(Instant::now()),
                Some(false) => bail!("the client of {} failed", self.server.name),
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
