//! Raises the size of the kernel's ARP table, which all network namespaces of a machine share.
//!
//! The table's bounds are settings of the machine's root namespace. They are raised before a room is built that would
//! not fit, and restored when the process ends. If the process is killed, a note in the temporary folder tells the
//! next start what to restore. Settings that another program has changed meanwhile stay as they are.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

const KEYS: [&str; 3] = ["gc_thresh1", "gc_thresh2", "gc_thresh3"];
const FOLDER: &str = "/proc/sys/net/ipv4/neigh/default";

/// `gc_thresh1` to `gc_thresh3`: up to the first the kernel collects no entries, above the second it collects them
/// after five seconds, and it never exceeds the third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds([u64; 3]);

/// Defaults of the kernel, for a namespace in which the settings cannot be read.
const KERNEL_DEFAULT: Bounds = Bounds([128, 512, 1024]);

/// Entries that a room can fill: each host knows all other hosts and the switch, and the switch knows each host.
fn entries(hosts: usize) -> u64 {
    let hosts = hosts as u64;
    hosts * hosts + hosts
}

impl Bounds {
    /// Bounds with room for this many hosts on top of what the machine has now; `None` if the current ones suffice.
    fn raised_for(self, hosts: usize) -> Option<Self> {
        let entries = entries(hosts);
        let [_, collected, _] = self.0;
        (entries > collected).then(|| Self(self.0.map(|own| own + entries)))
    }

    /// Returns whether some pairs of hosts would not see each other.
    fn too_small_for(self, hosts: usize) -> bool {
        entries(hosts) > self.0[2]
    }

    fn read() -> Result<Self> {
        let value = |key: &str| -> Result<u64> {
            let path = format!("{FOLDER}/{key}");
            let text = fs::read_to_string(&path).with_context(|| path.clone())?;
            text.trim().parse().with_context(|| path)
        };
        Ok(Self([value(KEYS[0])?, value(KEYS[1])?, value(KEYS[2])?]))
    }

    fn write(self) -> Result<()> {
        for (key, value) in KEYS.iter().zip(self.0) {
            let path = format!("{FOLDER}/{key}");
            fs::write(&path, value.to_string()).with_context(|| path)?;
        }
        Ok(())
    }

    fn to_line(self) -> String {
        self.0.map(|value| value.to_string()).join(" ")
    }

    fn of_line(line: &str) -> Option<Self> {
        let values: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
        Some(Self(values.ok()?.try_into().ok()?))
    }
}

/// Makes room for this many hosts; `tag` is that of this process. Fails if the room is needed and the settings cannot be changed.
pub fn make_room(hosts: usize, tag: &str) -> Result<()> {
    let found = Bounds::read();
    let now = *found.as_ref().unwrap_or(&KERNEL_DEFAULT);
    let Some(raised) = now.raised_for(hosts) else { return Ok(()) };
    match found.and_then(|_| raise(now, raised, tag)) {
        Err(error) if now.too_small_for(hosts) => bail!(
            "{hosts} hosts need {} entries in the kernel's ARP table, which has room for {}, and \
             net.ipv4.neigh.default.gc_thresh1 to 3 cannot be raised here ({error:#}): run this as root in the machine's \
             own network namespace, or with fewer receivers",
            entries(hosts),
            now.0[2]
        ),
        _ => Ok(()),
    }
}

/// Raises the bounds, and notes the values before and after for [`put_back`].
fn raise(now: Bounds, raised: Bounds, tag: &str) -> Result<()> {
    let note = note(tag);
    let before =
        fs::read_to_string(&note).ok().and_then(|text| parse(&text)).map_or(now, |(before, _)| before);
    fs::write(&note, format!("{}\n{}\n", before.to_line(), raised.to_line()))?;
    raised.write()
}

/// Restores the bounds that the process with this tag has raised.
pub fn put_back(tag: &str) {
    let note = note(tag);
    let Some((before, raised)) = fs::read_to_string(&note).ok().and_then(|text| parse(&text)) else { return };
    if Bounds::read().is_ok_and(|now| now == raised) {
        // If this fails, the ARP table only stays larger than before.
        let _ = before.write();
    }
    let _ = fs::remove_file(note);
}

fn note(tag: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{tag}-neigh"))
}

fn parse(note: &str) -> Option<(Bounds, Bounds)> {
    let (before, raised) = note.trim_end().split_once('\n')?;
    Some((Bounds::of_line(before)?, Bounds::of_line(raised)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_default_fits_31_hosts() {
        assert!(!KERNEL_DEFAULT.too_small_for(31));
        assert!(KERNEL_DEFAULT.too_small_for(32));
    }

    #[test]
    fn bounds_rise_before_entries_are_collected() {
        assert_eq!(KERNEL_DEFAULT.raised_for(22), None);
        assert_eq!(KERNEL_DEFAULT.raised_for(23), Some(Bounds([128 + 552, 512 + 552, 1024 + 552])));
        let raised = KERNEL_DEFAULT.raised_for(65).unwrap();
        assert!(!raised.too_small_for(65));
        assert_eq!(raised.raised_for(65), None, "a second room of the size needs nothing");
    }

    #[test]
    fn note_holds_bounds_before_and_after() {
        let raised = KERNEL_DEFAULT.raised_for(40).unwrap();
        let note = format!("{}\n{}\n", KERNEL_DEFAULT.to_line(), raised.to_line());
        assert_eq!(parse(&note), Some((KERNEL_DEFAULT, raised)));
        assert_eq!(parse("128 512\n1 2 3\n"), None);
        assert_eq!(parse(""), None);
    }
}
