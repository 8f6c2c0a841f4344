//! The lab `local`: each peer is a process with its own loopback address.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{Ground, Host};
use crate::scenario::Outcome;

/// Addresses `127.RUN.LAB.PEER`. Concurrent runs on one machine use different ones. If they collide nevertheless,
/// ports keep them apart, because peers pick free ones.
pub struct Loopback {
    run: u8,
    lab: u8,
}

static LABS: AtomicU8 = AtomicU8::new(0);

impl Loopback {
    pub fn new() -> Self {
        let run = (std::process::id() % 250) as u8 + 2;
        Self { run, lab: LABS.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Ground for Loopback {
    fn host(&self, number: usize) -> Outcome<Box<dyn Host>> {
        // Only these systems accept all of 127/8 without set-up.
        let own = cfg!(any(target_os = "linux", target_os = "windows"));
        let number = u8::try_from(number).map_err(|e| crate::scenario::Failure(e.to_string()))?;
        let ip = if own { Ipv4Addr::new(127, self.run, self.lab, number) } else { Ipv4Addr::LOCALHOST };
        Ok(Box::new(LocalHost(ip)))
    }
}

struct LocalHost(Ipv4Addr);

impl Host for LocalHost {
    fn ip(&self) -> IpAddr {
        self.0.into()
    }

    fn command(&self, program: &Path) -> Command {
        Command::new(program)
    }
}
