//! Puts the application manifest into the program for Windows, and prepares the page's files for the program.

use std::ffi::OsStr;
use std::path::PathBuf;
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

/// Copies the page's files into the build folder, scripts and styles without comments and indentation.
fn prepare_page() -> io::Result<()> {
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let out = PathBuf::from(out).join(PAGE);
    fs::create_dir_all(&out)?;
    for entry in fs::read_dir(PAGE)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let bytes = match path.extension().and_then(OsStr::to_str) {
            Some("js" | "css") => without_comments(&fs::read_to_string(&path)?).into_bytes(),
            _ => fs::read(&path)?,
        };
        fs::write(out.join(name), bytes)?;
    }
    Ok(())
}

/// Leaves out indentation, empty lines, and comments that have lines of their own. No text of the page crosses a line,
/// which a test checks, so this touches none.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut within = false;
    for line in text.lines().map(str::trim) {
        let begins = line.starts_with("/*");
        let (has_end, ends) = (line.contains("*/"), line.ends_with("*/"));
        let comment = within || line.starts_with("//") || begins && (ends || !has_end);
        if !comment && !line.is_empty() {
            kept.push_str(line);
            kept.push('\n');
        }
        within = !ends && (within || begins && !has_end);
    }
    kept
}
