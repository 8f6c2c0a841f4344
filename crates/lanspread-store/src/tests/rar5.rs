//! Archives that no honest program writes: stored RAR 5, block by block, from RARLAB's *RAR 5.0 archive format* note.

pub struct Rar5(Vec<u8>);

/// System that the archive states as its origin.
#[derive(Debug, Clone, Copy)]
pub enum Host {
    /// Windows, with its attributes; 1 is read-only.
    Windows(u64),
    /// Unix, with the bits of `st_mode`.
    Unix(u64),
}

/// Format in which a modification time is written.
#[derive(Debug, Clone, Copy)]
pub enum Changed {
    /// In the header itself: seconds since 1970.
    Seconds(u32),
    /// In an extra record, as on Windows: tenths of a microsecond since 1601.
    FileTime(u64),
    /// In an extra record: seconds since 1970, and nanoseconds.
    Nanoseconds(u32, u32),
}

impl Rar5 {
    pub fn new() -> Self {
        Self::with_flags(0)
    }

    /// Begins an archive with these flags; 1 means one of several volumes.
    pub fn with_flags(archive_flags: u64) -> Self {
        let mut archive = Self(b"Rar!\x1a\x07\x01\x00".to_vec());
        archive.block(1, 0, &vint(archive_flags), &[], None);
        archive
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, content, crc32fast::hash(content), 0o100_644, &[])
    }

    pub fn damaged(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, content, 1, 0o100_644, &[])
    }

    pub fn with_mode(self, name: &str, mode: u64) -> Self {
        self.entry(name, b"", 0, mode, &[])
    }

    /// Adds a file whose header states `stated` bytes, whatever its content has.
    pub fn stating(mut self, name: &str, stated: u64, content: &[u8]) -> Self {
        let fields = [
            vint(4),
            vint(stated),
            vint(0o100_644),
            crc32fast::hash(content).to_le_bytes().to_vec(),
            vint(0),
            vint(1),
            vint(name.len() as u64),
            name.into(),
        ];
        self.block(2, 0, &fields.concat(), &[], Some(content.len() as u64));
        self.0.extend(content);
        self
    }

    /// Adds a redirection record. Kind 1 is a symbolic link on Unix, 3 a junction, 4 a hard link.
    pub fn link(self, name: &str, target: &str, kind: u64) -> Self {
        let body = [vint(5), vint(kind), vint(0), vint(target.len() as u64), target.into()].concat();
        let extra = [vint(body.len() as u64), body].concat();
        self.entry(name, b"", 0, 0o100_644, &extra)
    }

    /// Returns the archive without its end block.
    pub fn unfinished(self) -> Vec<u8> {
        self.0
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.block(5, 4, &vint(0), &[], None);
        self.0
    }

    /// Adds a file as this system writes it, or a folder if there is no content.
    pub fn written_by(mut self, host: Host, name: &str, changed: Changed, content: Option<&[u8]>) -> Self {
        let (host, attributes) = match host {
            Host::Windows(attributes) => (0, attributes),
            Host::Unix(mode) => (1, mode),
        };
        let (seconds, record) = match changed {
            Changed::Seconds(seconds) => (Some(seconds), Vec::new()),
            // Flag 2: modification time; 1: in the format of Unix; 16: with nanoseconds.
            Changed::FileTime(time) => (None, [vint(3), vint(2), time.to_le_bytes().to_vec()].concat()),
            Changed::Nanoseconds(seconds, nanos) => {
                let times = [seconds.to_le_bytes(), nanos.to_le_bytes()].concat();
                (None, [vint(3), vint(1 | 2 | 16), times].concat())
            }
        };
        let extra = if record.is_empty() { record } else { [vint(record.len() as u64), record].concat() };
        let data = content.unwrap_or_default();
        let flags = u64::from(content.is_none()) | if seconds.is_some() { 2 } else { 0 } | 4;
        let fields = [
            vint(flags),
            vint(data.len() as u64),
            vint(attributes),
            seconds.map(u32::to_le_bytes).as_ref().map_or_else(Vec::new, |s| s.to_vec()),
            crc32fast::hash(data).to_le_bytes().to_vec(),
            vint(0),
            vint(host),
            vint(name.len() as u64),
            name.into(),
        ];
        self.block(2, 0, &fields.concat(), &extra, Some(data.len() as u64));
        self.0.extend(data);
        self
    }

    fn entry(mut self, name: &str, content: &[u8], crc: u32, mode: u64, extra: &[u8]) -> Self {
        let size = content.len() as u64;
        let fields = [
            vint(4),
            vint(size),
            vint(mode),
            crc.to_le_bytes().to_vec(),
            vint(0),
            vint(1),
            vint(name.len() as u64),
            name.into(),
        ];
        self.block(2, 0, &fields.concat(), extra, Some(size));
        self.0.extend(content);
        self
    }

    fn block(&mut self, kind: u64, flags: u64, fields: &[u8], extra: &[u8], data: Option<u64>) {
        let flags = flags | u64::from(!extra.is_empty()) | if data.is_some() { 2 } else { 0 };
        let mut body = [vint(kind), vint(flags)].concat();
        if !extra.is_empty() {
            body.extend(vint(extra.len() as u64));
        }
        body.extend(data.map(vint).unwrap_or_default());
        body.extend(fields);
        body.extend(extra);
        let sized = [vint(body.len() as u64), body].concat();
        self.0.extend(crc32fast::hash(&sized).to_le_bytes());
        self.0.extend(sized);
    }
}

fn vint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}
