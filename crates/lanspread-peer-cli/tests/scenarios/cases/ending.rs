//! The end of the program: nothing delays it.

use std::time::Duration;

use lanspread_api::line::Id;
use lanspread_api::{ErrorCode, Event, Line, ReplyData};

use crate::bare::{Bare, Ended, Lines};
use crate::figures;
use crate::lab::Lab;
use crate::scenario::{Body, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S77",
    title: "the harness always ends",
    claim: "Whatever waits, commands are read, and `shutdown`, the end of input or a signal ends the process within two seconds",
    setup: "four runs: 300 `wait-peers` for a peer that never comes, ended by `shutdown`, by the end of input, by SIGTERM (Unix); and 20,000 `list-games` with an id each whose answers nobody reads, ended by the end of input",
    expected: "256 commands wait, each further one is refused at once with `too-many-commands` and its id, `status` is answered meanwhile; at the end every waiting command has its answer `shutting-down`, `shutdown` answers last, and each of the four processes is gone two seconds after it was told, with exit code 0",
    sabotages: &[
        Sabotage::new("queue-behind-waits", &["waits are refused and status is answered"]),
        Sabotage::new("drop-event", &["a peer that met nobody told of something else"]),
        Sabotage::new("duplicate-event", &["a peer that met nobody told of something else"]),
        Sabotage::new("lie-about-count", &["who is here, by the status"]),
        Sabotage::new("end-when-nothing-waits", &["ends in time although nobody reads its output"]),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(always_ends),
}];

/// Commands that may wait at the same time, by the contract.
const WAITS_MAX: usize = 256;
const ASKED: usize = 300;
/// Longest time for the end, from the claim.
const END_MAX: Duration = Duration::from_secs(2);
/// More answers than the pipe and the program can hold for a reader that does not read.
const UNREAD: usize = 20_000;

/// How a run is ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Shutdown,
    EndOfInput,
    #[cfg(unix)]
    Signal,
}

fn always_ends(lab: &Lab) -> Outcome {
    let mut told = Vec::new();
    for by in [
        By::Shutdown,
        By::EndOfInput,
        #[cfg(unix)]
        By::Signal,
    ] {
        told.push(format!("{} ms by {by:?}", waits(lab, by)?.as_millis()));
    }
    told.push(format!("{} ms with its output unread", unread(lab)?.as_millis()));
    figures::note("S77", format!("the end took {}", told.join(", ")));
    Ok(())
}

fn waits(lab: &Lab, by: By) -> Outcome<Duration> {
    let mut peer = Bare::start(lab, &format!("{by:?}"), &[])?;
    let lines = Lines::of(peer.output()?);
    for id in 0..ASKED {
        peer.say(&format!("{{\"cmd\":\"wait-peers\",\"count\":9,\"timeout_ms\":3600000,\"id\":{id}}}\n"))?;
    }
    peer.say("{\"cmd\":\"status\",\"id\":\"status\"}\n")?;
    let (mut refused, mut events) = (0, Vec::new());
    loop {
        match lines.next(&format!("{} waits are refused and status is answered", ASKED - WAITS_MAX))? {
            Line::Error(line) => {
                require_eq!(line.error.code, ErrorCode::TooManyCommands, "the code of a wait too many");
                require_eq!(
                    line.id,
                    Some(Id::from_json(&(WAITS_MAX + refused).into())),
                    "the id of a wait too many"
                );
                require!(line.error.hint.is_some(), "a wait too many is refused without a hint");
                refused += 1;
            }
            Line::Result(line) => match line.reply {
                ReplyData::Status(status) => {
                    require_eq!(
                        (status.peer_count, status.refused),
                        (0, Vec::new()),
                        "who is here, by the status"
                    );
                    break;
                }
                other => fail!("{other:?} was answered while everything waits"),
            },
            Line::Event(event) => events.push(event),
        }
    }
    require_eq!(refused, ASKED - WAITS_MAX, "the commands that were refused");

    match by {
        By::Shutdown => peer.say("{\"cmd\":\"shutdown\",\"id\":\"end\"}\n")?,
        By::EndOfInput => peer.close_input(),
        #[cfg(unix)]
        By::Signal => peer.signal("-TERM")?,
    }
    let Ended { status, took, .. } = peer.await_end(END_MAX, &format!("ends in time when told by {by:?}"))?;
    require!(status.success(), "the end by {by:?} has {status}");
    let rest = lines.rest();
    events.extend(
        rest.iter().filter_map(|line| if let Line::Event(event) = line { Some(event.clone()) } else { None }),
    );
    let as_usual = matches!(
        events[..],
        [Event::Contract(_), Event::LocalPeerReady { game_count: 0, .. }, Event::LocalLibraryChanged { .. }]
    );
    require!(as_usual, "a peer that met nobody told of something else: {events:?}");
    let shut = |line: &&Line| matches!(line, Line::Error(e) if e.error.code == ErrorCode::ShuttingDown);
    require_eq!(
        rest.iter().filter(shut).count(),
        WAITS_MAX,
        "the waiting commands that got an answer at the end"
    );
    if by == By::Shutdown {
        let last = |line: &Line| matches!(line, Line::Result(r) if matches!(r.reply, ReplyData::Shutdown(_)));
        require!(
            rest.last().is_some_and(last),
            "the last line is not the answer to shutdown: {:?}",
            rest.last()
        );
    }
    Ok(took)
}

/// Tests that answers that nobody reads do not delay the end.
fn unread(lab: &Lab) -> Outcome<Duration> {
    let mut peer = Bare::start(lab, "unread", &["--fixture", "ggoo"])?;
    for id in 0..UNREAD {
        peer.say(&format!("{{\"cmd\":\"list-games\",\"id\":{id}}}\n"))?;
    }
    peer.close_input();
    let Ended { status, took, .. } =
        peer.await_end(END_MAX, "ends in time although nobody reads its output")?;
    require!(status.success(), "the end with the output unread has {status}");
    Ok(took)
}
