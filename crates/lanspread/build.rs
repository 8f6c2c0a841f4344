//! Puts the application manifest into the program for Windows, and prepares the page's files for the program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Folder of the page's files, here and in the build folder.
const PAGE: &str = "ui";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=lanspread.exe.manifest");
    println!("cargo:rerun-if-changed={PAGE}");
    if std::env::var_os("CARGO_CFG_WINDOWS").is_some() {
        embed_manifest::embed_manifest_file("lanspread.exe.manifest").map_err(io::Error::other)?;
    }
    prepare_page()
}

/// Writes the page's files into the build folder in the form in which they are served, and `assets.rs`, their list.
fn prepare_page() -> io::Result<()> {
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let out = PathBuf::from(out);
    let mut paths = Vec::new();
    find(Path::new(PAGE), &mut paths)?;
    paths.sort();
    let mut list = String::from("const ASSETS: &[Asset] = &[\n");
    // Two files have all styles. Only a development build serves its parts, which are read from the source folder.
    if std::env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        paths.retain(|path| !is_part(path));
    }
    for path in paths {
        let kind = kind(&path)?;
        let served = match path.extension().and_then(OsStr::to_str) {
            Some("js") => script(&fs::read_to_string(&path)?).into_bytes(),
            Some("css") => styles(&path)?.into_bytes(),
            Some("html") => without_comments(&fs::read_to_string(&path)?).into_bytes(),
            Some("json") => on_one_line(&fs::read_to_string(&path)?).into_bytes(),
            _ => fs::read(&path)?,
        };
        let to = out.join(&path);
        fs::create_dir_all(to.parent().unwrap_or(&out))?;
        fs::write(&to, served)?;
        let name = name(&path);
        list += &format!(
            "Asset {{ path: {name:?}, kind: {kind:?}, \
             bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{PAGE}/{name}\")) }},\n"
        );
    }
    list += "];\n";
    fs::write(out.join("assets.rs"), list)
}

/// Finds the files below a folder, except those for the editor and the type checker.
fn find(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            find(&path, paths)?;
        } else if !name.starts_with('.') && !name.ends_with(".d.ts") {
            paths.push(path);
        }
    }
    Ok(())
}

/// The path below the page's folder, as in an address.
fn name(path: &Path) -> String {
    let parts = path.iter().skip(1).map(OsStr::to_string_lossy);
    parts.collect::<Vec<_>>().join("/")
}

/// The media type of a file.
fn kind(path: &Path) -> io::Result<&'static str> {
    match path.extension().and_then(OsStr::to_str) {
        Some("html") => Ok("text/html; charset=utf-8"),
        Some("css") => Ok("text/css; charset=utf-8"),
        Some("js") => Ok("text/javascript; charset=utf-8"),
        Some("json") => Ok("application/json"),
        Some("svg") => Ok("image/svg+xml"),
        Some("txt") => Ok("text/plain; charset=utf-8"),
        _ => Err(io::Error::other(format!("{} is of no kind that the page has", path.display()))),
    }
}

/// A script without comments, and without the commas that prettier puts before a bracket on a line of its own.
fn script(text: &str) -> String {
    let code = without_comments(text);
    code.replace(",\n)", ")").replace(",\n]", "]").replace(",\n}", "}")
}

/// Leaves out indentation, empty lines, comments that have lines of their own, and types within a line. No text of the
/// page crosses a line, which a test checks, so this touches none.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut within = false;
    for line in text.lines().map(str::trim) {
        let begins = line.starts_with("/*");
        let (has_end, ends) = (line.contains("*/"), line.ends_with("*/"));
        let comment = within || line.starts_with("//") || begins && (ends || !has_end);
        if !comment && !line.is_empty() {
            kept.push_str(&without_types(line));
            kept.push('\n');
        }
        within = !ends && (within || begins && !has_end);
    }
    kept
}

/// Leaves out comments such as `/** @type {string} */` in a line of a script.
fn without_types(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, comment)) = rest.split_once("/** ") {
        let Some((_, after)) = comment.split_once(" */") else { break };
        kept.push_str(before);
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    kept.push_str(rest);
    kept
}

/// True for a style sheet that another one contains.
fn is_part(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "css")
        && !path.ends_with("page.css")
        && !path.ends_with("views.css")
}

/// A style sheet with the files that it imports, each in its layer, and without comments and what else it can do
/// without. The files have one declaration a line, as prettier writes them.
fn styles(path: &Path) -> io::Result<String> {
    let mut made = String::new();
    for line in without_comments(&fs::read_to_string(path)?).lines() {
        let import = line.strip_prefix("@import '").and_then(|rest| rest.strip_suffix(");"));
        if let Some((file, layer)) = import.and_then(|rest| rest.split_once("' layer(")) {
            made += &format!("@layer {layer}{{{}}}", styles(&path.with_file_name(file))?);
            continue;
        }
        let is_declaration = line.ends_with(';') && !line.starts_with('@');
        let line = if is_declaration { line.replacen(": ", ":", 1) } else { line.to_owned() };
        let line = line.strip_suffix(" {").map(|selector| format!("{selector}{{")).unwrap_or(line);
        made += &without_zeros(&line);
        if !line.ends_with(['{', '}', ';', ',']) {
            made.push(' ');
        }
    }
    Ok(made.replace(";}", "}"))
}

/// Writes `.5` instead of `0.5`.
fn without_zeros(line: &str) -> String {
    let mut before = ' ';
    let mut chars = line.chars().peekable();
    let mut kept = String::with_capacity(line.len());
    while let Some(char) = chars.next() {
        let within = before.is_ascii_alphanumeric() || before == '.';
        if within || char != '0' || chars.peek() != Some(&'.') {
            kept.push(char);
        }
        before = char;
    }
    kept
}

/// Leaves out the line breaks and indentation of a catalogue, which has one message a line.
fn on_one_line(text: &str) -> String {
    text.lines().map(|line| line.trim().replacen("\": \"", "\":\"", 1)).collect()
}
