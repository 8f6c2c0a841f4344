//! Menu and autostart entries for desktops that follow the freedesktop.org specifications *Desktop Entry*,
//! *Desktop Application Autostart* and *XDG Base Directory*.

use std::fs;
use std::io;
use std::path::Path;

use etcetera::BaseStrategy;

use super::Places;

const ENTRY: &str = "lanspread.desktop";

/// Returns this user's paths for the program copy and its two entries.
pub fn places() -> Result<Places, String> {
    let base = etcetera::choose_base_strategy().map_err(|e| e.to_string())?;
    Ok(Places {
        program: base.home_dir().join(".local/bin/lanspread"),
        menu_entry: base.data_dir().join("applications").join(ENTRY),
        login_entry: base.config_dir().join("autostart").join(ENTRY),
    })
}

/// Writes a desktop entry that starts `program` with `args`.
pub fn write_entry(entry: &Path, program: &Path, args: &str) -> io::Result<()> {
    let program = program.to_str().ok_or_else(|| io::Error::other("the path is not valid Unicode"))?;
    let text = format!(
        "[Desktop Entry]\nType=Application\nName=lanspread\nComment=Share games at a LAN party\n\
         Exec={}\nTerminal=false\nCategories=Game;Network;\n",
        [&quoted(program), args].join(" ").trim_end()
    );
    fs::write(entry, text)
}

/// Quotes a path for `Exec`: in double quotes, a backslash before four special characters, each backslash doubled
/// again for the file's own escapes, and `%` doubled.
fn quoted(path: &str) -> String {
    let mut quoted = String::from('"');
    for c in path.chars() {
        match c {
            '"' | '`' | '$' => quoted.push_str("\\\\"),
            '\\' => quoted.push_str("\\\\\\"),
            '%' => quoted.push('%'),
            _ => {}
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted() {
        assert_eq!(quoted("/home/ada/.local/bin/lanspread"), "\"/home/ada/.local/bin/lanspread\"");
        assert_eq!(quoted("/a b/$x/100%"), "\"/a b/\\\\$x/100%%\"");
        assert_eq!(quoted("/a\\b"), "\"/a\\\\\\\\b\"");
        let dir = tempfile::tempdir().unwrap();
        let entry = dir.path().join(ENTRY);
        write_entry(&entry, Path::new("/opt/lanspread"), super::super::AT_LOGIN).unwrap();
        let text = fs::read_to_string(entry).unwrap();
        assert!(text.contains("\nExec=\"/opt/lanspread\" --no-browser\n"), "{text}");
    }
}
