//! A bare copy over TCP, for calibration: read from a file, sent, received, written; neither encrypted nor verified.
//! No program that moves a file between two disks through a socket of this machine can be faster.
//!
//! The sender is that of `http`. The receiver reads and writes blocks of 256 KiB.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::Result;

use super::http;
use super::pull::PullParty;
use crate::contenders::contender::{Contender, Party, Room};

const BLOCK_BYTES: usize = 256 << 10;

/// The contender.
#[derive(Debug)]
pub struct Copy;

impl Contender for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn unsuited(&self, liar: bool) -> Option<&'static str> {
        liar.then_some("it has one source and verifies nothing")
    }

    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>> {
        let (server, addr) = http::start(room)?;
        PullParty::prepare(room, server, |host, output| {
            let mut command = host.command(std::env::current_exe()?);
            command.arg("receive").arg(addr.to_string()).arg(output);
            Ok(command)
        })
    }
}

/// Runs the receiving process.
pub fn receive(addr: SocketAddr, file: &Path) -> Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut file = File::create(file)?;
    file.write_all(reader.buffer())?;
    let mut stream = reader.into_inner();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match stream.read(&mut block)? {
            0 => return Ok(()),
            n => file.write_all(&block[..n])?,
        }
    }
}
