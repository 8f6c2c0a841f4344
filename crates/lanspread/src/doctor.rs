//! `lanspread doctor`: asks the running peer to look at itself, or looks at the machine where none runs.

use std::path::PathBuf;

use lanspread_api::reply::{AbsenceCode, Diagnosis, Health};
use lanspread_api::{ErrorBody, ErrorCode, Line, ReplyData, ResultLine, render};
use lanspread_peer::command::{Command, Reply};
use lanspread_peer::doctor::{Patient, examine};

use crate::address::DEFAULT_PORT;
use crate::cli::DoctorArgs;
use crate::client::Client;
use crate::host::Host;
use crate::show::Screen;

/// Examines and shows what was found. Bad news are no failure of the program: the exit code says that it has looked.
pub async fn run(args: DoctorArgs, state_dir: PathBuf, json: bool) -> Result<(), ErrorBody> {
    let dir = state_dir.clone();
    let asked = tokio::task::spawn_blocking(move || Client::find(&dir).and_then(|client| client.doctor()));
    let line = match asked.await {
        Ok(Ok(line)) => line,
        _ => {
            let patient = Patient {
                state_dir,
                games_dir: args.games_dir,
                default_port: DEFAULT_PORT,
                ..Patient::default()
            };
            let diagnosis = render::diagnosis(&examine(patient).await);
            Line::Result(ResultLine { id: None, reply: ReplyData::Doctor(diagnosis) })
        }
    };
    let screen = if json { Screen::quiet() } else { Screen::default() };
    match line {
        line @ Line::Result(_) if json => screen.say(line.to_json()),
        Line::Result(ResultLine { reply: ReplyData::Doctor(diagnosis), .. }) => {
            described(&diagnosis).into_iter().for_each(|line| screen.say(line));
        }
        Line::Error(line) => return Err(line.error),
        Line::Result(_) | Line::Event(_) => {
            return Err(ErrorBody::new(ErrorCode::Internal, "the running peer answered something else"));
        }
    }
    Ok(())
}

/// The running peer, as the doctor wants to know it.
pub async fn patient(host: &Host) -> Patient {
    let mut patient = Patient {
        state_dir: host.state_dir().to_owned(),
        games_dir: host.games_dir(),
        default_port: DEFAULT_PORT,
        ..Patient::default()
    };
    // The program may run although its peer does not, for want of a library.
    let Ok(peer) = host.peer() else { return patient };
    if let Ok(Reply::Status(status)) = peer.command(Command::Status).await {
        (patient.games_dir, patient.listening) = (Some(status.games_dir), Some(status.addr));
        patient.library_fault = status.library_fault;
    }
    if let Ok(Reply::Peers(room)) = peer.command(Command::ListPeers).await {
        let room = render::peer_list(&room);
        patient.connected = room.peers.len();
        let other = room.others.into_iter().filter(|other| other.reason == AbsenceCode::OtherVersion);
        patient.other_versions =
            other.map(|o| (o.name.or(o.peer_id).unwrap_or_default(), o.protocol.unwrap_or(0))).collect();
    }
    patient
}

/// The findings for people, each with what to do.
pub fn described(diagnosis: &Diagnosis) -> Vec<String> {
    let mut lines = Vec::new();
    for check in &diagnosis.checks {
        let mark = match check.health {
            Health::Good => "good",
            Health::Unknown => "?   ",
            Health::Poor => "POOR",
            Health::Bad => "BAD ",
        };
        lines.push(format!("{mark}  {:<12}  {}", check.name, check.found));
        if let Some(advice) = &check.advice {
            lines.push(format!("{:20}-> {advice}", ""));
        }
    }
    lines.push(String::new());
    lines.push(match diagnosis.health {
        Health::Good | Health::Unknown => "Nothing stands in the way.".to_owned(),
        Health::Poor => "It works, or should; see POOR above.".to_owned(),
        Health::Bad => "Something stands in the way; see BAD above.".to_owned(),
    });
    lines
}

#[cfg(test)]
mod tests {
    use lanspread_api::reply::Check;

    use super::*;

    #[test]
    fn findings_come_with_what_to_do() {
        let check = |name: &str, health, advice: Option<&str>| Check {
            name: name.to_owned(),
            health,
            found: "found".to_owned(),
            advice: advice.map(str::to_owned),
        };
        let checks =
            vec![check("clock", Health::Good, None), check("multicast", Health::Bad, Some("open the port"))];
        assert_eq!(
            described(&Diagnosis { health: Health::Bad, checks }),
            [
                "good  clock         found",
                "BAD   multicast     found",
                "                    -> open the port",
                "",
                "Something stands in the way; see BAD above.",
            ]
        );
    }
}
