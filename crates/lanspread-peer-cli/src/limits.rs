//! Bounds of this program: waiting commands, unread answers, and the time of an orderly end.
//!
//! `docs/limits.md` is generated from these constants and their doc comments.

use std::time::Duration;

lanspread_types::limits! {
    /// Most commands that may be answered late (`wait-peers`, `connect`, ...) and wait for their answer: far more than a
    /// script needs, and each costs a task.
    pub const WAITS_MAX: usize = 256;
    /// Most other commands whose answers are not printed yet. The peer answers them at once, so more pile up only while
    /// nobody reads the output.
    pub const ANSWERS_WAITING_MAX: usize = 256;
    /// Most lines that wait to be printed, events apart.
    pub const LINES_WAITING_MAX: usize = 64;
    /// Most bytes of commands that are read and not yet given to the peer: the lines, and what each costs beside its line.
    pub const BACKLOG_BYTES_MAX: u32 = 4 << 20;
    /// How long events wait to be printed after a chunk event. Chunks come in hundreds a second, and each write to standard
    /// output wakes two threads. An answer does not wait, and brings the events before it along.
    pub const CHUNKS_TOGETHER: Duration = Duration::from_millis(10);
    /// How long a command waits for room in a full backlog before it is refused: a burst that moves is taken in slowly.
    pub const BACKLOG_STALL_MAX: Duration = Duration::from_millis(100);
    /// Time for an orderly end: goodbyes, jobs on the disk, answers. An idle machine needs milliseconds.
    pub const ORDERLY_END_MAX: Duration = Duration::from_millis(1000);
    /// Of that, time in which the commands before the end reach the peer. They do at once, unless nobody reads the answers.
    pub const LAST_COMMANDS_MAX: Duration = Duration::from_millis(300);
    /// Time for the last lines after that. A reader that has stopped reading must not keep the process.
    pub const LAST_LINES_MAX: Duration = Duration::from_millis(300);
    /// When the process ends itself although the runtime is stuck: below the two seconds that are promised, since the
    /// system takes some time, too.
    pub const FORCED_END: Duration = Duration::from_millis(1600);
}
