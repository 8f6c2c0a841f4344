//! One peer of a lab: its process, the commands it is given, and the lines it prints.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use lanspread_api::line::Id;
use lanspread_api::reply::{Availability, GameInfo, PeerInfo, Status};
use lanspread_api::{ErrorCode, ErrorLine, Event, Line, ReplyData, Request};
use lanspread_types::GameId;

use crate::games::{self, CatalogFile, Game};
use crate::lab::{Host, Lab};
use crate::log::{Log, Mark, event};
use crate::scenario::{Failure, Outcome, fail, require};
use crate::wait::{Seen, eventually, while_moving, within};

/// Builder of a peer.
pub struct PeerSpec<'lab> {
    lab: &'lab Lab,
    name: String,
    folder: PathBuf,
    catalog: Option<PathBuf>,
    extra: Vec<String>,
    listen: Option<SocketAddr>,
    mbit_per_s: Option<u32>,
}

impl<'lab> PeerSpec<'lab> {
    pub(crate) fn new(lab: &'lab Lab, name: &str) -> Outcome<Self> {
        let folder = lab.folder(name)?;
        std::fs::create_dir_all(folder.join("games"))?;
        let (name, extra) = (name.to_owned(), Vec::new());
        Ok(Self { lab, name, folder, catalog: None, extra, listen: None, mbit_per_s: None })
    }

    /// Returns the folder of the peer's library, which may be filled before the start.
    pub fn games_dir(&self) -> PathBuf {
        self.folder.join("games")
    }

    /// Adds all games of a fixture folder.
    pub fn fixture(self, fixture: &str) -> Outcome<Self> {
        for game in games::fixture_games(fixture)? {
            games::copy_folder(&games::fixture_game(fixture, &game), &self.games_dir().join(&game))?;
        }
        Ok(self)
    }

    /// Adds a generated game.
    pub fn game(self, game: &Game) -> Outcome<Self> {
        game.write(&self.games_dir())?;
        Ok(self)
    }

    /// Uses this catalogue. A peer without a catalogue lists all valid games.
    pub fn catalog(mut self, catalog: &CatalogFile) -> Outcome<Self> {
        let path = self.folder.join("catalog.toml");
        std::fs::write(&path, catalog.to_toml())?;
        self.catalog = Some(path);
        Ok(self)
    }

    /// Uses the catalogue of the fixtures.
    pub fn fixture_catalog(mut self) -> Self {
        self.catalog = Some(games::fixtures_dir().join("catalog.toml"));
        self
    }

    /// Listens on `addr` instead of the host's own address.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = Some(addr);
        self
    }

    /// Limits the rate of the peer's link (lab `netns` only).
    pub fn link_mbit_per_s(mut self, mbit_per_s: u32) -> Self {
        self.mbit_per_s = Some(mbit_per_s);
        self
    }

    /// Limits what the peer sends to all other peers together, so that there is time to act in the middle of a
    /// transfer.
    pub fn upload_limit(self, bytes_per_s: u64) -> Self {
        self.arg("--upload-limit").arg(&bytes_per_s.to_string())
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.extra.push(arg.to_owned());
        self
    }

    /// Starts the peer and waits until it is ready.
    pub fn start(self) -> Outcome<Peer> {
        let host = self.lab.next_host()?;
        if let Some(rate) = self.mbit_per_s {
            host.shape(rate)?;
        }
        let listen = self.listen.unwrap_or(SocketAddr::new(host.ip(), 0));
        let log = Log::new(self.lab.epoch(), &self.folder.join("log.txt"))?;
        let launch = Launch {
            folder: self.folder,
            catalog: self.catalog,
            extra: self.extra,
            listen,
            sabotage: self.lab.sabotage().and_then(|sabotage| sabotage.in_peer(&self.name)),
        };
        let process = Arc::new(Process {
            name: self.name,
            host,
            launch,
            log: Arc::new(log),
            running: Mutex::new(None),
            next_id: AtomicU64::new(1),
        });
        self.lab.enlist(Arc::clone(&process));
        process.launch()?;
        let peer = Peer { process };
        peer.await_ready(Mark(0))?;
        Ok(peer)
    }
}

/// Arguments of every start of a peer's process.
struct Launch {
    folder: PathBuf,
    catalog: Option<PathBuf>,
    extra: Vec<String>,
    listen: SocketAddr,
    sabotage: Option<&'static str>,
}

/// The process of a peer, across all its restarts.
pub struct Process {
    name: String,
    host: Box<dyn Host>,
    launch: Launch,
    log: Arc<Log>,
    running: Mutex<Option<Running>>,
    next_id: AtomicU64,
}

struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn ip(&self) -> IpAddr {
        self.host.ip()
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn launch(&self) -> Outcome {
        let launch = &self.launch;
        let mut command = self.host.command(Path::new(env!("CARGO_BIN_EXE_lanspread-peer-cli")));
        command.arg("--name").arg(&self.name);
        command.arg("--games-dir").arg(launch.folder.join("games"));
        command.arg("--state-dir").arg(launch.folder.join("state"));
        command.arg("--listen").arg(launch.listen.to_string());
        if let Some(catalog) = &launch.catalog {
            command.arg("--catalog").arg(catalog);
        }
        command.args(&launch.extra);
        command.env_remove("LANSPREAD_SABOTAGE");
        if let Some(sabotage) = launch.sabotage {
            command.env("LANSPREAD_SABOTAGE", sabotage);
        }
        let stderr = File::options().create(true).append(true).open(self.stderr_path())?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn()?;
        self.log.note(format!("started as process {}", child.id()));
        let Some(stdout) = child.stdout.take() else { fail!("{} has no standard output", self.name) };
        let log = Arc::clone(&self.log);
        let reader = std::thread::spawn(move || read_lines(BufReader::new(stdout), &log));
        let stdin = child.stdin.take();
        *self.lock() = Some(Running { child, stdin, reader: Some(reader) });
        Ok(())
    }

    fn stderr_path(&self) -> PathBuf {
        self.launch.folder.join("stderr.txt")
    }

    /// Returns everything that the peer wrote to standard error.
    pub fn stderr(&self) -> String {
        let bytes = std::fs::read(self.stderr_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn stderr_tail(&self) -> String {
        let all = self.stderr();
        let lines: Vec<&str> = all.lines().collect();
        let last = &lines[lines.len().saturating_sub(12)..];
        last.iter().map(|l| format!("      {}\n", l.chars().take(300).collect::<String>())).collect()
    }

    fn write(&self, bytes: &[u8]) -> Outcome {
        let mut running = self.lock();
        let stdin = running.as_mut().and_then(|r| r.stdin.as_mut());
        let Some(stdin) = stdin else { fail!("{} does not run", self.name) };
        stdin
            .write_all(bytes)
            .and_then(|()| stdin.flush())
            .map_err(|e| Failure(format!("{} does not read its commands: {e}", self.name)))
    }

    pub fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    /// Fails if the process ended on its own.
    pub fn require_orderly(&self) -> Outcome {
        if let Some(running) = self.lock().as_mut()
            && let Some(status) = running.child.try_wait()?
        {
            fail!("{} ended by itself: {status}", self.name);
        }
        Ok(())
    }

    /// Returns what `look` finds in the log, or `None` if it may still come.
    ///
    /// # Errors
    ///
    /// The process has ended, all its output was read, and `look` finds nothing. Whether the process has ended is
    /// determined *before* the look, because its last line may be the one that is searched for.
    fn find_or_require_more<T>(&self, look: impl FnOnce(&Log) -> Option<T>) -> Outcome<Option<T>> {
        let ended = match self.lock().as_mut() {
            Some(running) if running.reader.as_ref().is_none_or(JoinHandle::is_finished) => {
                running.child.try_wait()?
            }
            _ => None,
        };
        let found = look(&self.log);
        match ended {
            Some(status) if found.is_none() => fail!("{} ended by itself: {status}", self.name),
            _ => Ok(found),
        }
    }

    /// Kills the process with SIGKILL if it runs.
    pub fn end(&self) {
        let Some(mut running) = self.lock().take() else { return };
        // Both calls fail only if the process is already gone.
        let _ = self.host.kill(&mut running.child);
        let _ = running.child.wait();
        self.log.note("killed");
        if let Some(reader) = running.reader.take() {
            let _ = reader.join();
        }
    }

    /// Waits until the process ends with success, after it was told to.
    fn await_exit(&self) -> Outcome {
        eventually(&format!("the process of {} ends", self.name), || {
            let mut running = self.lock();
            let Some(running) = running.as_mut() else { return Ok(Ok(())) };
            Ok(match running.child.try_wait()? {
                Some(status) if status.success() => Ok(()),
                Some(status) => fail!("it ended with {status}"),
                None => Err("it runs".to_owned()),
            })
        })?;
        if let Some(mut running) = self.lock().take() {
            self.log.note("ended");
            if let Some(reader) = running.reader.take() {
                let _ = reader.join();
            }
        }
        Ok(())
    }
}

fn read_lines(mut from: impl BufRead, log: &Log) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(n) if n > 0 => log.printed(line.strip_suffix(b"\n").unwrap_or(&line)),
            _ => return,
        }
    }
}

/// A peer that was started. Clones refer to the same process.
#[derive(Clone)]
pub struct Peer {
    process: Arc<Process>,
}

impl From<&Arc<Process>> for Peer {
    fn from(process: &Arc<Process>) -> Self {
        Self { process: Arc::clone(process) }
    }
}

impl Peer {
    pub fn name(&self) -> &str {
        &self.process.name
    }

    pub fn log(&self) -> &Log {
        &self.process.log
    }

    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Returns the id of its process while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.lock().as_ref().map(|running| running.child.id())
    }

    pub fn games_dir(&self) -> PathBuf {
        self.process.launch.folder.join("games")
    }

    /// Returns the folder of one game in this peer's library.
    pub fn game_dir(&self, game: &str) -> PathBuf {
        self.games_dir().join(game)
    }

    /// Returns the current end of the log.
    pub fn mark(&self) -> Mark {
        self.log().mark()
    }

    fn await_ready(&self, since: Mark) -> Outcome<Event> {
        let (_, ready) = self.await_event(since, "local-peer-ready", |event| match event {
            Event::LocalPeerReady { .. } => Some(event.clone()),
            _ => None,
        })?;
        Ok(ready)
    }

    /// Returns the peer's id, as printed at its last start.
    pub fn id(&self) -> String {
        let ready = |line: &Line| match event(line) {
            Some(Event::LocalPeerReady { peer_id, .. }) => Some(peer_id.clone()),
            _ => None,
        };
        self.log().pick(Mark(0), ready).pop().map_or(String::new(), |(_, id)| id)
    }

    /// Returns the address that the peer listens on, as printed at its last start.
    pub fn addr(&self) -> Outcome<SocketAddr> {
        let ready = |line: &Line| match event(line) {
            Some(Event::LocalPeerReady { addr, .. }) => Some(*addr),
            _ => None,
        };
        let Some((_, addr)) = self.log().pick(Mark(0), ready).pop() else {
            fail!("{} was never ready", self.name())
        };
        Ok(addr)
    }

    // --- commands ---

    /// Gives a command and waits for its answer, be it a result or an error.
    pub fn say(&self, request: &Request) -> Outcome<Result<ReplyData, ErrorLine>> {
        let (_, answer) = self.say_json(serde_json::to_value(request)?)?;
        Ok(answer)
    }

    /// Gives a command as JSON and waits for its answer. The `id` is added. Also returns the position of the answer
    /// in the log.
    pub fn say_json(&self, mut command: serde_json::Value) -> Outcome<(Mark, Result<ReplyData, ErrorLine>)> {
        let id = self.process.next_id.fetch_add(1, Ordering::Relaxed);
        command["id"] = id.into();
        let since = self.mark();
        self.say_raw(format!("{command}\n").as_bytes())?;
        let mine = |found: &Option<Id>| *found == Some(Id::from_json(&id.into()));
        let answer = |line: &Line| match line {
            Line::Result(result) if mine(&result.id) => Some(Ok(result.reply.clone())),
            Line::Error(error) if mine(&error.id) => Some(Err(error.clone())),
            _ => None,
        };
        eventually(&format!("{} answers {command}", self.name()), || {
            let found = self.process.find_or_require_more(|log| log.first(since, answer))?;
            Ok(found.ok_or_else(|| "no answer".to_owned()))
        })
    }

    /// Gives several commands in one write, so that nothing comes between them. Returns their answers in the same
    /// order.
    pub fn say_together(&self, requests: &[Request]) -> Outcome<Vec<Result<ReplyData, ErrorLine>>> {
        let (mut lines, mut ids) = (String::new(), Vec::new());
        for request in requests {
            let mut command = serde_json::to_value(request)?;
            let id = self.process.next_id.fetch_add(1, Ordering::Relaxed);
            command["id"] = id.into();
            ids.push(Id::from_json(&id.into()));
            lines.push_str(&format!("{command}\n"));
        }
        let since = self.mark();
        self.say_raw(lines.as_bytes())?;
        let answer_to = |id: &Id| {
            let answer = |line: &Line| match line {
                Line::Result(result) if result.id.as_ref() == Some(id) => Some(Ok(result.reply.clone())),
                Line::Error(error) if error.id.as_ref() == Some(id) => Some(Err(error.clone())),
                _ => None,
            };
            eventually(&format!("{} answers command {id:?}", self.name()), || {
                let found = self.process.find_or_require_more(|log| log.first(since, answer))?;
                Ok(match found {
                    Some((_, answer)) => Ok(answer),
                    None => Err("no answer".to_owned()),
                })
            })
        };
        ids.iter().map(answer_to).collect()
    }

    /// Writes arbitrary bytes to the peer's standard input.
    pub fn say_raw(&self, bytes: &[u8]) -> Outcome {
        let end = bytes.len().min(4096);
        self.log().told(String::from_utf8_lossy(&bytes[..end]).trim_end());
        self.process.write(bytes)
    }

    /// Gives a command that must succeed.
    pub fn ask(&self, request: &Request) -> Outcome<ReplyData> {
        self.say(request)?.map_err(|error| {
            let name = request.name().as_str();
            Failure(format!(
                "{} refused {name}: {:?} ({})",
                self.name(),
                error.error.code,
                error.error.message
            ))
        })
    }

    /// Gives a command that must be refused with this code.
    pub fn refuses(&self, request: &Request, code: ErrorCode) -> Outcome<ErrorLine> {
        match self.say(request)? {
            Ok(reply) => fail!("{} answered {reply:?} to {request:?} instead of refusing it", self.name()),
            Err(error) => {
                let found = error.error.code;
                require!(
                    found == code,
                    "{} refused {request:?} with {found:?} instead of {code:?}",
                    self.name()
                );
                Ok(error)
            }
        }
    }

    pub fn status(&self) -> Outcome<Status> {
        match self.ask(&Request::Status)? {
            ReplyData::Status(status) => Ok(*status),
            other => fail!("status answered {other:?}"),
        }
    }

    /// Returns the connected peers.
    pub fn peers(&self) -> Outcome<Vec<PeerInfo>> {
        match self.ask(&Request::ListPeers)? {
            ReplyData::ListPeers(list) => Ok(list.peers),
            other => fail!("list-peers answered {other:?}"),
        }
    }

    pub fn games(&self) -> Outcome<Vec<GameInfo>> {
        match self.ask(&Request::ListGames)? {
            ReplyData::ListGames(list) => Ok(list.games),
            other => fail!("list-games answered {other:?}"),
        }
    }

    /// Returns a game as `list-games` shows it.
    pub fn game(&self, game: &str) -> Outcome<Option<GameInfo>> {
        let mut found: Vec<GameInfo> = self.games()?.into_iter().filter(|g| g.game_id == game).collect();
        require!(found.len() < 2, "{} lists {game} {} times", self.name(), found.len());
        Ok(found.pop())
    }

    pub fn connect(&self, other: &Self) -> Outcome {
        self.ask(&Request::Connect { addr: other.addr()? }).map(drop)
    }

    pub fn download(&self, game: &str, install: bool) -> Outcome {
        let reply =
            self.ask(&Request::Download { game_id: game_id(game)?, install, confirm_content: None })?;
        match reply {
            ReplyData::Download(download) if !download.already_there => Ok(()),
            other => fail!("download of {game} answered {other:?}"),
        }
    }

    /// Updates a game to content that only one peer offers, confirmed by the owner.
    pub fn update(&self, game: &str, install: bool, content: &str) -> Outcome {
        let confirm_content = Some(content.to_owned());
        let reply = self.ask(&Request::Download { game_id: game_id(game)?, install, confirm_content })?;
        match reply {
            ReplyData::Download(download) if !download.already_there => Ok(()),
            other => fail!("the update of {game} answered {other:?}"),
        }
    }

    // --- events ---

    pub fn events_since(&self, since: Mark) -> Vec<Event> {
        self.log().pick(since, |line| event(line).cloned()).into_iter().map(|(_, event)| event).collect()
    }

    /// Waits for an event since the mark. Also returns its position.
    pub fn await_event<T>(
        &self,
        since: Mark,
        what: &str,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Outcome<(Mark, T)> {
        eventually(&format!("{} prints {what}", self.name()), || self.look_for(since, &mut pick))
    }

    /// Waits for an event that may take long on a busy machine: as long as events other than progress arrive.
    pub fn await_end<T>(
        &self,
        since: Mark,
        what: &str,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Outcome<(Mark, T)> {
        while_moving(&format!("{} prints {what}", self.name()), || {
            let seen = self.look_for(since, &mut pick)?;
            let moves = |event: &Event| !matches!(event, Event::DownloadProgress(_));
            let moved = self.log().pick(since, |line| event(line).filter(|e| moves(e)).map(drop)).len();
            Ok((seen, moved))
        })
    }

    /// Returns the event if it has come, and fails if it cannot come any more.
    fn look_for<T>(
        &self,
        since: Mark,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Outcome<Seen<(Mark, T)>> {
        let look = |log: &Log| log.first(since, |line| event(line).and_then(&mut pick));
        let found = self.process.find_or_require_more(look)?;
        Ok(found.ok_or_else(|| self.last_events(since)))
    }

    /// Returns the first matching event since the mark without waiting.
    pub fn find_event<T>(&self, since: Mark, mut pick: impl FnMut(&Event) -> Option<T>) -> Option<(Mark, T)> {
        self.log().first(since, |line| event(line).and_then(&mut pick))
    }

    /// Describes the last events since a mark, for people.
    fn last_events(&self, since: Mark) -> String {
        let events = self.events_since(since);
        let last = &events[events.len().saturating_sub(3)..];
        format!("{} events since, the last: {last:?}", events.len())
    }

    /// Fails if an event since the mark matches.
    pub fn require_none(&self, since: Mark, what: &str, matches: impl Fn(&Event) -> bool) -> Outcome {
        match self.events_since(since).into_iter().find(|event| matches(event)) {
            Some(event) => fail!("{} printed {what}: {event:?}", self.name()),
            None => Ok(()),
        }
    }

    // --- waiting for a state ---

    /// Waits until the peer is connected to exactly these peers and knows exactly their games.
    pub fn await_peers(&self, expected: &[(&Self, &[&str])]) -> Outcome {
        let wanted: BTreeSet<(String, BTreeSet<String>)> = expected
            .iter()
            .map(|(peer, games)| (peer.id(), games.iter().map(|g| (*g).to_owned()).collect()))
            .collect();
        eventually(
            &format!("{} sees exactly its {} peers and their games", self.name(), wanted.len()),
            || {
                let peers = self.peers()?;
                let found: BTreeSet<_> = peers.iter().map(|p| (p.peer_id.clone(), advertised(p))).collect();
                let exact = found == wanted && peers.len() == wanted.len();
                Ok(if exact { Ok(()) } else { Err(format!("{peers:?}")) })
            },
        )
    }

    /// Waits until `list-games` shows the game in a state in which `holds` is true.
    pub fn await_game(&self, game: &str, what: &str, holds: impl Fn(&GameInfo) -> bool) -> Outcome<GameInfo> {
        eventually(&format!("{} shows {game} {what}", self.name()), || {
            Ok(match self.game(game)? {
                Some(info) if holds(&info) => Ok(info),
                other => Err(format!("{other:?}")),
            })
        })
    }

    /// Waits until the peer itself can serve the game.
    pub fn await_served(&self, game: &str) -> Outcome<GameInfo> {
        self.await_game(game, "as ready to be served", |g| {
            g.downloaded && g.availability == Availability::Ready
        })
    }

    /// Waits until exactly `peer_count` peers offer the game.
    pub fn await_offered(&self, game: &str, peer_count: usize) -> Outcome<GameInfo> {
        self.await_game(game, &format!("as offered by {peer_count} peers"), |g| g.peer_count == peer_count)
    }

    /// Waits until no peer offers the game.
    pub fn await_withdrawn(&self, game: &str) -> Outcome {
        eventually(&format!("{} no longer shows {game} as offered", self.name()), || {
            let info = self.game(game)?;
            let gone =
                info.as_ref().is_none_or(|g| g.peer_count == 0 && g.availability != Availability::Remote);
            Ok(if gone { Ok(()) } else { Err(format!("{info:?}")) })
        })
    }

    /// Waits until no operation runs.
    pub fn await_idle(&self) -> Outcome {
        eventually(&format!("{} runs no operation", self.name()), || {
            let running = self.status()?.active_operations;
            Ok(if running.is_empty() { Ok(()) } else { Err(format!("{running:?}")) })
        })
    }

    /// Waits until the peer sends nothing to other peers.
    pub fn await_no_outbound(&self) -> Outcome {
        eventually(&format!("{} sends nothing", self.name()), || {
            let outbound = self.status()?.active_outbound_transfers;
            Ok(if outbound.is_empty() { Ok(()) } else { Err(format!("{outbound:?}")) })
        })
    }

    /// Checks a state again and again, as [`within`] does.
    pub fn look<T>(
        &self,
        limit: std::time::Duration,
        what: &str,
        look: impl FnMut() -> Outcome<Seen<T>>,
    ) -> Outcome<T> {
        within(limit, what, look)
    }

    /// Returns the bytes that the running process has read from files and sockets, or `None` if the system does not
    /// tell.
    pub fn bytes_read(&self) -> Option<u64> {
        let pid = self.process.lock().as_ref().map(|running| running.child.id())?;
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
    }

    // --- process and cable ---

    /// Kills the process with SIGKILL: no goodbye, no flush.
    pub fn kill(&self) {
        self.process.end();
    }

    /// Stops the process with SIGSTOP while `meanwhile` runs, and continues it. Not for containers, where the process
    /// is a child of the engine.
    pub fn frozen(&self, meanwhile: impl FnOnce() -> Outcome) -> Outcome {
        let signal = |name: &str| -> Outcome {
            let Some(process) = self.process_id() else { fail!("{} does not run", self.name()) };
            let sent = std::process::Command::new("kill").args([name, &process.to_string()]).status()?;
            require!(sent.success(), "{name} cannot be sent to {}", self.name());
            self.log().note(name);
            Ok(())
        };
        signal("-STOP")?;
        let done = meanwhile();
        signal("-CONT")?;
        done
    }

    /// Pulls the peer's cable (lab `netns` only). No peer is told, and nothing arrives any more.
    pub fn pull_cable(&self) -> Outcome {
        self.log().note("its cable is pulled");
        self.process.host.plug(false)
    }

    pub fn plug_cable(&self) -> Outcome {
        self.log().note("its cable is plugged in");
        self.process.host.plug(true)
    }

    /// Gives the command `shutdown` and waits until the process ends with success.
    pub fn shut_down(&self) -> Outcome {
        self.ask(&Request::Shutdown)?;
        self.process.await_exit()
    }

    /// Starts the peer again on the same folders, after a kill or a shutdown, and waits until it is ready.
    pub fn restart(&self) -> Outcome {
        let since = self.mark();
        self.process.launch()?;
        self.await_ready(since).map(drop)
    }
}

/// Returns the ids of the games that a peer announces, before any filter.
pub fn advertised(peer: &PeerInfo) -> BTreeSet<String> {
    peer.games.iter().map(|g| g.game_id.clone()).collect()
}

pub fn game_id(game: &str) -> Outcome<GameId> {
    Ok(GameId::new(game)?)
}
