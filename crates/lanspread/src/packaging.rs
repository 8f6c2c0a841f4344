//! Shell completions and the manual page, made from the definition of the command line.

use std::io::{self, Write};

use clap_complete::Shell;
use lanspread_api::{ErrorBody, ErrorCode};

use crate::cli;
use crate::show::Screen;

const NAME: &str = "lanspread";

/// Prints the completion script of one shell.
pub fn completions(shell: Shell, screen: &Screen) -> Result<(), ErrorBody> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), NAME, &mut script);
    print(&script, screen)
}

/// Prints the manual page.
pub fn man(screen: &Screen) -> Result<(), ErrorBody> {
    let mut page = Vec::new();
    write_man(&mut page).map_err(|e| ErrorBody::new(ErrorCode::Internal, e.to_string()))?;
    print(&page, screen)
}

/// Writes one page: the program, then each of its commands.
fn write_man(page: &mut impl Write) -> io::Result<()> {
    let command = cli::command();
    let man = clap_mangen::Man::new(command.clone());
    man.render(page)?;
    writeln!(page, ".SH \"COMMANDS IN DETAIL\"")?;
    for command in command.get_subcommands() {
        let man =
            clap_mangen::Man::new(command.clone().display_name(format!("{NAME} {}", command.get_name())));
        writeln!(page, ".SS \"{NAME} {}\"", command.get_name())?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
    }
    Ok(())
}

fn print(bytes: &[u8], screen: &Screen) -> Result<(), ErrorBody> {
    screen.say(String::from_utf8_lossy(bytes).trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_command_is_in_manual_and_completions() {
        let mut page = Vec::new();
        write_man(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut cli::command(), NAME, &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
                assert!(page.contains(&format!(".SS \"{NAME} {}\"", command.get_name())));
            }
        }
    }
}
