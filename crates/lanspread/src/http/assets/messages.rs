//! Checks the page's messages: what the scripts say is in every catalogue, and nothing else is.
//!
//! Scripts name a message by its id in full, so that this can find it: `t('room.title')`, `count('files', n)`, or the id
//! alone in a table. [`FAMILIES`] are the only exceptions.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_api::error::ErrorCode;
use lanspread_types::PartyMismatch;

use super::tests::{scripts, source};

/// Languages, each with the plural forms that it distinguishes (`Intl.PluralRules`, CLDR).
const LANGUAGES: [(&str, &[&str]); 2] = [("en", &["one", "other"]), ("de", &["one", "other"])];

/// Families of messages whose ids are composed. What may follow the
/// prefix comes from the program, see [`errors`] and [`refusals`].
const FAMILIES: [&str; 2] = ["error.", "refusal."];

/// Least number of messages, so that a scan that finds nothing does not pass.
const MESSAGES_MIN: usize = 300;

type Catalogue = BTreeMap<String, String>;

/// Reads a catalogue and checks that it has one message a line, each id once and in order.
fn catalogue(language: &str) -> Catalogue {
    let text = source(&format!("i18n/{language}.json"));
    let messages: Catalogue = serde_json::from_str(&text).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("{"), "{language}");
    let ids: Vec<_> = lines
        .by_ref()
        .take_while(|line| *line != "}")
        .map(|line| {
            let id = line.strip_prefix("  \"").and_then(|line| line.split_once("\": \"")).map(|(id, _)| id);
            id.unwrap_or_else(|| panic!("{language}: not a message on one line: {line}"))
        })
        .collect();
    assert_eq!(lines.next(), None, "{language}");
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] >= pair[1]) {
        panic!("{language}: {} stands before {}", pair[0], pair[1]);
    }
    assert!(ids.len() >= MESSAGES_MIN && ids.len() == messages.len(), "{language}: {} messages", ids.len());
    messages
}

/// Messages of error codes. A catalogue need not have all of them: what it lacks is said in the program's words.
fn errors() -> BTreeSet<String> {
    ErrorCode::ALL.iter().map(|code| format!("error.{}", code.as_str())).collect()
}

/// Messages of refusals at the door. The page gets the program's words for them and makes the id out of these.
fn refusals() -> impl Iterator<Item = String> {
    let refusals = [PartyMismatch::Open, PartyMismatch::WrongPassPhrase, PartyMismatch::TooManyTries];
    refusals.into_iter().map(|refusal| {
        let words = refusal.to_string().to_lowercase();
        let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        format!("refusal.{}", words.collect::<Vec<_>>().join("-"))
    })
}

/// The texts in single quotes in a script, each with what stands before it in its line.
fn literals(script: &str) -> impl Iterator<Item = (&str, &str)> {
    let code =
        script.lines().map(str::trim).filter(|line| !["//", "*", "/*"].iter().any(|c| line.starts_with(c)));
    code.flat_map(|line| {
        let mut at = 0;
        let parts = line.split('\'').map(move |part| {
            at += part.len() + 1;
            (&line[..at - part.len() - 1], part)
        });
        parts.skip(1).step_by(2)
    })
}

/// Ids in `t('…')`, and in `count('…', n)`, whose messages have plural forms.
fn used() -> (BTreeSet<String>, BTreeSet<String>) {
    let document = source("index.html");
    let in_document = document.split("data-text=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let (mut plain, mut plural) = (in_document.map(str::to_owned).collect::<BTreeSet<_>>(), BTreeSet::new());
    for script in scripts() {
        for (before, text) in literals(&source(script.path)) {
            if before.ends_with("count('") {
                plural.insert(text.to_owned());
            } else if is_id(text) || before.ends_with("t('") && is_call(before) {
                plain.insert(text.to_owned());
            }
        }
    }
    (plain, plural)
}

/// True where the `t` at the end of this is a function of that name, and not the end of another one's.
fn is_call(before: &str) -> bool {
    let name = before.strip_suffix("t('").unwrap_or_default();
    !name.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.')
}

/// True for what looks like an id of the English catalogue: its first part is one, and it has several.
fn is_id(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let mut parts = text.split('.');
    let group = parts.next().unwrap_or_default();
    let rest: Vec<_> = parts.collect();
    is_part(group)
        && !rest.is_empty()
        && rest.iter().all(|part| is_part(part))
        && GROUPS.with(|known| known.contains(group))
}

thread_local! {
    /// First parts of the ids.
    static GROUPS: BTreeSet<String> =
        catalogue("en").into_keys().filter_map(|id| Some(id.split_once('.')?.0.to_owned())).collect();
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

#[test]
fn every_message_is_in_every_language_and_is_used() {
    let (plain, plural) = used();
    let optional = errors();
    for (language, forms) in LANGUAGES {
        let ids: BTreeSet<_> = catalogue(language).into_keys().collect();
        let forms_of = |id: &String| forms.iter().map(|form| format!("{id}#{form}")).collect::<Vec<_>>();
        let needed: BTreeSet<_> =
            plain.iter().cloned().chain(refusals()).chain(plural.iter().flat_map(forms_of)).collect();
        let missing: Vec<_> = needed.difference(&ids).collect();
        assert!(missing.is_empty(), "{language}: missing {missing:?}");
        let unused: Vec<_> = ids.difference(&needed).filter(|id| !optional.contains(*id)).collect();
        assert!(unused.is_empty(), "{language}: unused {unused:?}");
    }
}

#[test]
fn languages_say_the_same() {
    let english = catalogue("en");
    for (language, forms) in LANGUAGES {
        let messages = catalogue(language);
        for (id, text) in &messages {
            assert!(!text.trim().is_empty() && text.trim() == text, "{language}: {id}");
            let base = id.split('#').next().unwrap_or_default();
            if let Some((_, form)) = id.split_once('#') {
                assert!(forms.contains(&form), "{language} has no form {form}: {id}");
            }
            // Forms may differ from language to language, so each is compared with the general one.
            let model = if base == id { english.get(base) } else { english.get(&format!("{base}#other")) };
            let model = model.unwrap_or_else(|| panic!("{id} is not in English"));
            let (mut has, mut should) = (placeholders(text), placeholders(model));
            if id.contains('#') && !id.ends_with("#other") {
                // "One person" need not repeat the number.
                has.remove("n");
                should.remove("n");
            }
            assert_eq!(has, should, "{language}: {id}");
        }
        let in_both = english.keys().filter(|id| !id.contains('#') && !messages.contains_key(*id));
        assert_eq!(in_both.collect::<Vec<_>>(), Vec::<&String>::new(), "{language} lacks these");
    }
}

/// A composed id cannot be found, so only the families have any.
#[test]
fn ids_are_written_in_full() {
    let mut families = BTreeSet::new();
    for script in scripts() {
        let text = source(script.path);
        for call in ["t(`", "count(`", "optional(`"] {
            for (at, _) in text.match_indices(call) {
                if call == "t(`" && !is_call(&format!("{}t('", &text[..at])) {
                    continue;
                }
                let id = &text[at + call.len()..];
                // `count` itself adds the form to an id that its caller wrote in full.
                if id.starts_with("${id}#") {
                    continue;
                }
                let family = FAMILIES.iter().find(|family| id.starts_with(**family));
                let family = family.unwrap_or_else(|| panic!("{}: {call}{:.30}", script.path, id));
                families.insert(*family);
            }
        }
    }
    assert_eq!(families, BTreeSet::from(FAMILIES));
}

#[test]
fn scripts_have_no_sentences() {
    let mut seen = 0;
    for script in scripts() {
        for (_, text) in literals(&source(script.path)) {
            seen += 1;
            let mut chars = text.chars();
            let sentence = chars.next().is_some_and(char::is_uppercase)
                && chars.next().is_some_and(char::is_lowercase)
                && text.contains([' ', '.', '…', '?', '’']);
            assert!(!sentence, "{}: {text:?} belongs into the catalogues", script.path);
        }
    }
    assert!(seen > MESSAGES_MIN, "only {seen} texts were found");
}
