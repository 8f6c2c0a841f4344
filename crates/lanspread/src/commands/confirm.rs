//! Questions to the owner: before a game here is replaced by content that only one source offers, and before an
//! unconfirmed program starts for the first time.
//!
//! A person at a terminal answers the question there. Elsewhere the command fails, and the error's hint tells a
//! script how to confirm with `--confirm`.

use std::io::{self, BufRead, IsTerminal};

use lanspread_api::error::{FirstStart, Replacement, Supplier};
use lanspread_api::{ErrorBody, ErrorCode, Request};

use super::Asked;
use crate::cli::{GetArgs, PlayArgs};

/// Digits of a content id that people see.
const SHOWN_DIGITS: usize = 8;

impl Asked {
    /// Sends a request. If the peer answers with a question and the owner agrees (`yes` agrees in advance), sends the
    /// request again with the confirmed content.
    pub(super) fn with_word(
        &self,
        request: Request,
        yes: bool,
        send: impl Fn(&Request) -> Result<(), ErrorBody>,
    ) -> Result<(), ErrorBody> {
        let error = match send(&request) {
            Err(error) if is_question(&error) => error,
            done => return done,
        };
        let Some(content) = error.question.as_ref().map(|q| q.confirm.clone()) else { return Err(error) };
        if yes || self.asks(&error) {
            return send(&confirmed(request, content));
        }
        Err(error)
    }

    /// Asks the question, if a person at a terminal can answer it, and returns whether the answer is yes.
    fn asks(&self, error: &ErrorBody) -> bool {
        if self.json || !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return false;
        }
        for line in question(error) {
            self.screen.note(line);
        }
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).is_ok() && is_yes(&answer)
    }
}

/// Builds the request of `get`, and returns whether the owner agrees in advance to content from one source.
pub(super) fn get(args: &GetArgs) -> (Request, bool) {
    let (game_id, install) = (args.game.clone(), !args.no_install);
    let confirm_content = args.confirm.map(|content| content.to_string());
    (Request::Download { game_id, install, confirm_content }, args.yes_from_one_source)
}

pub(super) fn play(args: PlayArgs) -> Request {
    Request::Play {
        game_id: args.game,
        user_name: args.name,
        language: args.language,
        launch: !args.no_launch,
        confirm_content: args.confirm.map(|content| content.to_string()),
    }
}

fn is_question(error: &ErrorBody) -> bool {
    matches!(error.code, ErrorCode::UnconfirmedSource | ErrorCode::UnconfirmedProgram)
}

fn confirmed(request: Request, content: String) -> Request {
    let word = Some(content);
    match request {
        Request::Download { game_id, install, .. } => {
            Request::Download { game_id, install, confirm_content: word }
        }
        Request::Play { game_id, user_name, language, launch, .. } => {
            Request::Play { game_id, user_name, language, launch, confirm_content: word }
        }
        other => other,
    }
}

/// The question in words; the last line asks for the answer.
fn question(error: &ErrorBody) -> Vec<String> {
    let game = error.game_id.as_deref().unwrap_or("the game");
    let asked = error.question.as_ref().map(|q| (&q.replacement, &q.first_start));
    match asked {
        Some((Some(replacement), _)) => replaced(game, replacement),
        Some((None, Some(start))) => started(game, start),
        _ => vec![format!("{}. Continue? [y/N]", error.message)],
    }
}

fn replaced(game: &str, r: &Replacement) -> Vec<String> {
    let here = match (&r.eti_version, &r.content_id) {
        (Some(version), Some(content)) => format!("in version {version} (content {})", short(content)),
        (Some(version), None) => format!("in version {version}"),
        (None, _) => "in an unknown version".to_owned(),
    };
    vec![
        format!("You have {game} {here}."),
        format!(
            "Only {} offers version {} (content {}). Nobody else confirms it.",
            named(&r.supplier),
            r.new_eti_version,
            short(&r.new_content_id)
        ),
        "Replace it? [y/N]".to_owned(),
    ]
}

fn started(game: &str, s: &FirstStart) -> Vec<String> {
    let mut command = vec![s.program.clone()];
    command.extend(s.args.iter().map(|arg| format!("{arg:?}")));
    let from = match &s.suppliers[..] {
        [] => "was already in your games folder".to_owned(),
        some => format!("came from {}", some.iter().map(named).collect::<Vec<_>>().join(", ")),
    };
    vec![
        format!("{game} starts this program for the first time: {}", command.join(" ")),
        format!("It {from}. No catalogue confirms its content ({}).", short(&s.content_id)),
        "Start it? [y/N]".to_owned(),
    ]
}

fn named(supplier: &Supplier) -> String {
    format!("{} (key {})", supplier.name, supplier.key)
}

fn short(content: &str) -> &str {
    content.get(..SHOWN_DIGITS).unwrap_or(content)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Adds the hint that tells a script how to answer the question.
pub(super) fn with_hint(error: ErrorBody) -> ErrorBody {
    let (Some(game), Some(question)) = (&error.game_id, &error.question) else { return error };
    let content = &question.confirm;
    let hint = match error.code {
        ErrorCode::UnconfirmedSource => format!(
            "`lanspread get {game} --confirm {content}` accepts this content, `--yes-from-one-source` whatever one \
             source offers"
        ),
        ErrorCode::UnconfirmedProgram => {
            format!("`lanspread play {game} --confirm {content}` starts it, now and in future")
        }
        _ => return error,
    };
    ErrorBody { hint: Some(hint), ..error }
}

#[cfg(test)]
mod tests {
    use lanspread_api::error::Question;

    use super::*;

    fn eve() -> Supplier {
        Supplier { peer_id: "4f".repeat(32), name: "Eve".to_owned(), key: "4f4f4f4f".to_owned() }
    }

    fn replacement() -> ErrorBody {
        let replacement = Replacement {
            eti_version: Some("20250101".to_owned()),
            content_id: Some("0a".repeat(32)),
            new_eti_version: "20260101".to_owned(),
            new_content_id: "0b".repeat(32),
            supplier: eve(),
        };
        ErrorBody {
            game_id: Some("ggoo".to_owned()),
            question: Some(Box::new(Question {
                confirm: "0b".repeat(32),
                replacement: Some(replacement),
                first_start: None,
            })),
            ..ErrorBody::new(ErrorCode::UnconfirmedSource, "m")
        }
    }

    #[test]
    fn replacement_names_versions_and_supplier() {
        assert_eq!(
            question(&replacement()),
            [
                "You have ggoo in version 20250101 (content 0a0a0a0a).",
                "Only Eve (key 4f4f4f4f) offers version 20260101 (content 0b0b0b0b). Nobody else confirms it.",
                "Replace it? [y/N]",
            ]
        );
    }

    #[test]
    fn first_start_names_program_and_origin() {
        let mut start = FirstStart {
            program: "/g/local/go".to_owned(),
            args: vec!["a b".to_owned()],
            content_id: "0c".repeat(32),
            suppliers: vec![eve()],
        };
        assert_eq!(
            started("ggoo", &start)[..2],
            [
                "ggoo starts this program for the first time: /g/local/go \"a b\"",
                "It came from Eve (key 4f4f4f4f). No catalogue confirms its content (0c0c0c0c).",
            ]
        );
        start.suppliers.clear();
        assert!(started("ggoo", &start)[1].starts_with("It was already in your games folder."));
    }

    #[test]
    fn only_yes_is_yes() {
        assert!(["y", "Y\n", " yes \r\n"].into_iter().all(is_yes));
        assert!(["", "\n", "n", "yep", "j"].into_iter().all(|answer| !is_yes(answer)));
    }

    #[test]
    fn confirmation_repeats_the_same_request() {
        let request = Request::Download {
            game_id: lanspread_types::GameId::new("ggoo").unwrap(),
            install: false,
            confirm_content: None,
        };
        let Request::Download { install: false, confirm_content: Some(word), .. } =
            confirmed(request, "0b".repeat(32))
        else {
            panic!("another request")
        };
        assert_eq!(word, "0b".repeat(32));
        let hint = with_hint(replacement()).hint.unwrap();
        assert!(
            hint.contains(&format!("--confirm {word}")) && hint.contains("--yes-from-one-source"),
            "{hint}"
        );
    }
}
