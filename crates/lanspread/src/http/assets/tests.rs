//! What the build makes of the page's files.

use super::*;

/// Limit for all that one visitor may load, so that the page opens at once on the weakest machine of the room: 85 ms on
/// a link of 16 Mbit/s.
const PAGE_BYTES_MAX: usize = 170_000;

/// The text of a file as it stands in the source folder.
pub fn source(path: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/ui/");
    std::fs::read_to_string(format!("{folder}{path}")).unwrap()
}

pub fn scripts() -> impl Iterator<Item = &'static Asset> {
    ASSETS.iter().filter(|asset| asset.path.ends_with(".js"))
}

fn text(asset: &Asset) -> &'static str {
    std::str::from_utf8(asset.bytes).unwrap()
}

#[test]
fn page_is_light() {
    let is_part = |path: &str| path.starts_with("styles/") && !STYLES.contains(&path);
    let is_catalogue = |asset: &&Asset| asset.path.starts_with("i18n/");
    let counts =
        |asset: &&Asset| asset.path != "licences.txt" && !is_part(asset.path) && !is_catalogue(asset);
    let bytes: usize = ASSETS.iter().filter(counts).map(|asset| asset.bytes.len()).sum();
    // A visitor loads the words of one language.
    let words = ASSETS.iter().filter(is_catalogue).map(|asset| asset.bytes.len()).max().unwrap();
    assert!(bytes + words <= PAGE_BYTES_MAX, "{bytes} bytes and {words} of words");
}

#[test]
fn embedded_scripts_have_all_code_and_no_comments() {
    for asset in scripts() {
        let mut whole = String::new();
        for line in source(asset.path).lines().map(str::trim) {
            // A text that crosses a line would lose its indentation.
            assert!(line.matches('`').count().is_multiple_of(2), "{}: {line}", asset.path);
            let comment = ["//", "/*", "*"].iter().any(|mark| line.starts_with(mark));
            let code = line.starts_with("/**") && line.contains("*/ ");
            if !comment || code {
                whole += &without_types(line);
            }
        }
        assert!(!text(asset).contains("/*"), "{}", asset.path);
        assert_eq!(without_last_commas(text(asset)), without_last_commas(&whole), "{}", asset.path);
    }
}

/// The letters of a script without commas before a closing bracket.
fn without_last_commas(code: &str) -> String {
    letters(code).replace(",)", ")").replace(",]", "]").replace(",}", "}")
}

/// The style sheets that the page requests.
const STYLES: [&str; 2] = ["styles/page.css", "styles/views.css"];

#[test]
fn embedded_styles_are_two_files_with_all_layers() {
    let mut layers = Vec::new();
    for asset in ASSETS.iter().filter(|asset| STYLES.contains(&asset.path)) {
        let mut whole = String::new();
        for line in without_comments(&source(asset.path)).lines().filter(|line| !line.trim().is_empty()) {
            let Some((file, layer)) =
                line.strip_prefix("@import '").and_then(|rest| rest.split_once("' layer("))
            else {
                whole += line;
                continue;
            };
            let layer = layer.strip_suffix(");").unwrap();
            assert_eq!(file.strip_suffix(".css"), Some(layer));
            let styles = without_comments(&source(&format!("styles/{file}")));
            whole += &format!("@layer {layer} {{ {styles} }}");
            layers.push(layer.to_owned());
        }
        // Zeros before a point are left out, and the last semicolon of a block.
        for before in [" ", "(", ",", "-"] {
            whole = whole.replace(&format!("{before}0."), &format!("{before}."));
        }
        assert_eq!(letters(text(asset)), letters(&whole).replace(";}", "}"), "{}", asset.path);
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/ui/styles")).unwrap().count();
    assert_eq!(layers.len() + STYLES.len(), files, "every file has its layer");
    let order = source("styles/page.css");
    let order = order.split_once("@layer ").and_then(|(_, rest)| rest.split_once(';')).unwrap().0;
    let mut order: Vec<_> = order.split(", ").collect();
    order.sort_unstable();
    layers.sort_unstable();
    assert_eq!(order, layers, "every layer has its place");
}

/// A style sheet without its comments.
fn without_comments(styles: &str) -> String {
    let (first, rest) = styles.split_once("/*").unwrap_or((styles, ""));
    let rest = rest.split("/*").filter_map(|part| part.split_once("*/")).map(|(_, code)| code);
    std::iter::once(first).chain(rest).collect()
}

/// A line without the comments within it.
fn without_types(line: &str) -> String {
    let (first, rest) = line.split_once("/**").unwrap_or((line, ""));
    let rest = rest.split("/**").filter_map(|part| part.split_once("*/")).map(|(_, code)| code);
    std::iter::once(first).chain(rest).collect()
}

fn letters(line: &str) -> String {
    line.split_whitespace().collect()
}

#[test]
fn only_what_the_page_needs_is_embedded() {
    let has = |path: &str| ASSETS.iter().any(|asset| asset.path == path);
    assert!(has("index.html") && has("app.js") && has("i18n/en.json") && has("i18n/de.json"));
    assert!(!ASSETS.iter().any(|asset| asset.path.contains(".d.ts") || asset.path.starts_with('.')));
}

/// The document names every script that the library waits for, so that none waits for another.
#[test]
fn first_view_waits_for_no_script_twice() {
    let mut needed = vec!["app.js".to_owned()];
    let mut at = 0;
    while at < needed.len() {
        let path = needed[at].clone();
        let script = scripts().find(|script| script.path == path).unwrap_or_else(|| panic!("no {path}"));
        let imports =
            text(script).lines().filter(|line| line.starts_with("import ") || line.starts_with("} from "));
        for name in imports.filter_map(|line| line.split('\'').nth(1)) {
            let path = resolved(&path, name);
            if !needed.contains(&path) {
                needed.push(path);
            }
        }
        at += 1;
    }
    let document = ASSETS.iter().find(|asset| asset.path == "index.html").unwrap();
    let named = text(document)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("<link rel=\"modulepreload\" href=\""));
    let mut named: Vec<_> = named.filter_map(|rest| rest.split('"').next()).collect();
    named.push("app.js");
    named.sort_unstable();
    needed.sort_unstable();
    assert_eq!(named, needed);
}

/// The path of a module that another one imports.
fn resolved(from: &str, name: &str) -> String {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn page_has_nothing_inline_or_foreign() {
    for asset in ASSETS.iter().filter(|asset| !asset.path.ends_with(".txt")) {
        let text = text(asset);
        for forbidden in ["<style", "style=\"", "onclick=", "innerHTML", "eval(", "javascript:"] {
            assert!(!text.contains(forbidden), "{} has {forbidden}", asset.path);
        }
        let foreign = text.match_indices("http").map(|(at, _)| &text[at..]).find(|rest| {
            (rest.starts_with("http://") || rest.starts_with("https://"))
                && !rest.starts_with("http://www.w3.org/2000/svg")
        });
        assert_eq!(foreign.map(|rest| &rest[..rest.len().min(60)]), None, "{}", asset.path);
    }
}
