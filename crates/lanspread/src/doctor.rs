//! `lanspread doctor`: asks the running peer's doctor, or examines the machine itself if no peer runs.

use std::path::PathBuf;

use lanspread_api::reply::{AbsenceCode, Diagnosis, Health};
use lanspread_api::{ErrorBody, ErrorCode, ExitCode, Line, ReplyData, ResultLine};
use lanspread_peer::command::{Command, Reply};
use lanspread_peer::contract::{self, ToContract};
use lanspread_peer::doctor::{Patient, examine};

use crate::address::DEFAULT_PORT;
use crate::cli::DoctorArgs;
use crate::client::Client;
use crate::host::Host;
use crate::show::Screen;

/// Runs the checks and shows the findings. The exit code tells whether one of them is bad.
pub async fn run(args: DoctorArgs, state_dir: PathBuf, json: bool) -> Result<ExitCode, ErrorBody> {
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
            let diagnosis = contract::diagnosis(&examine(patient).await);
            Line::Result(ResultLine { id: None, reply: ReplyData::Doctor(diagnosis) })
        }
    };
    let screen = if json { Screen::quiet() } else { Screen::default() };
    match &line {
        Line::Result(ResultLine { reply: ReplyData::Doctor(diagnosis), .. }) => {
            if json {
                screen.say(line.to_json());
            } else {
                described(diagnosis).into_iter().for_each(|line| screen.say(line));
            }
            Ok(exit(diagnosis.health))
        }
        Line::Error(line) => Err(line.error.clone()),
        Line::Result(_) | Line::Event(_) => {
            Err(ErrorBody::new(ErrorCode::Internal, "the running peer answered something else"))
        }
    }
}

/// Only what is bad keeps games from being shared.
fn exit(health: Health) -> ExitCode {
    match health {
        Health::Good | Health::Unknown | Health::Poor => ExitCode::Success,
        Health::Bad => ExitCode::Refused,
    }
}

/// Describes the running peer for the doctor.
pub async fn patient(host: &Host) -> Patient {
    let mut patient = Patient {
        state_dir: host.state_dir().to_owned(),
        games_dir: host.games_dir(),
        default_port: DEFAULT_PORT,
        ..Patient::default()
    };
    // The program may run without a peer until a games folder is chosen.
    let Ok(peer) = host.peer() else { return patient };
    if let Ok(Reply::Status(status)) = peer.command(Command::Status).await {
        (patient.games_dir, patient.listening) = (Some(status.games_dir), Some(status.addr));
        patient.library_fault = status.library_fault;
        patient.library_read_only = status.library_read_only;
    }
    if let Ok(Reply::Peers(room)) = peer.command(Command::ListPeers).await {
        let room = room.to_contract();
        patient.connected = room.peers.len();
        let other = room.others.into_iter().filter(|other| other.reason == AbsenceCode::OtherVersion);
        patient.other_versions =
            other.map(|o| (o.name.or(o.peer_id).unwrap_or_default(), o.protocol.unwrap_or(0))).collect();
    }
    patient
}

/// The findings for people, each with its advice.
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
        Health::Good | Health::Unknown => "No problems found.".to_owned(),
        Health::Poor => "It should work, but not at its best; see POOR above.".to_owned(),
        Health::Bad => "Problems found; see BAD above.".to_owned(),
    });
    lines
}

#[cfg(test)]
mod tests {
    use lanspread_api::reply::Check;

    use super::*;

    #[test]
    fn only_a_bad_finding_fails() {
        let exits =
            [Health::Good, Health::Unknown, Health::Poor, Health::Bad].map(|health| exit(health).code());
        assert_eq!(exits, [0, 0, 0, 4]);
    }

    #[test]
    fn findings_come_with_advice() {
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
                "Problems found; see BAD above.",
            ]
        );
    }
}
