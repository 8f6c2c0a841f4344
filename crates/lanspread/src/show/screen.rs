//! The terminal: lines on standard output, progress bars and trouble on standard error.
//!
//! A bar is drawn only where a person sees it. Elsewhere a meter writes a plain line now and then, so that a log shows
//! that something moves and does not fill with it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;

/// Plain lines of one meter come at most this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Where people read. Cheap to clone; all clones draw on the same terminal.
#[derive(Debug, Clone)]
pub struct Screen {
    bars: MultiProgress,
    draws: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self { bars: MultiProgress::new(), draws: io::stderr().is_terminal() }
    }
}

impl Screen {
    /// A screen that shows no progress at all, for output that machines read.
    pub fn quiet() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), draws: true }
    }

    /// A line on standard output.
    pub fn say(&self, text: impl AsRef<str>) {
        self.write(&mut io::stdout().lock(), text.as_ref());
    }

    /// A line on standard error: trouble, or what is of interest only now.
    pub fn note(&self, text: impl AsRef<str>) {
        self.write(&mut io::stderr().lock(), text.as_ref());
    }

    fn write(&self, to: &mut impl Write, text: &str) {
        let text = visible(text);
        // Whoever closed the other end of the pipe does not want to read any more.
        self.bars.suspend(|| {
            let _ = writeln!(to, "{text}");
            let _ = to.flush();
        });
    }

    /// Shows how far something is.
    pub fn meter(&self, label: impl Into<String>, total: u64) -> Meter {
        let label = label.into();
        let bar = self.draws.then(|| {
            let bar = self.bars.add(ProgressBar::new(total));
            bar.set_style(style());
            bar.set_prefix(visible(&label));
            bar
        });
        Meter { screen: self.clone(), label, total, bar, told: Instant::now() }
    }
}

/// The message is cut to the width that is left: a line that wraps could not be taken back.
const TEMPLATE: &str = "{prefix:.36}  {bar:20}  {percent:>3} %  {wide_msg}";

fn style() -> ProgressStyle {
    ProgressStyle::with_template(TEMPLATE)
        .map_or_else(|_| ProgressStyle::default_bar(), |s| s.progress_chars("━╸─"))
}

/// Names and reasons come from other machines and disks: control characters in them must not steer the terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A progress bar, or its plain lines.
#[derive(Debug)]
pub struct Meter {
    screen: Screen,
    label: String,
    total: u64,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Meter {
    /// `done` of the total, in bytes; `remark` says what else there is to say, such as a rate.
    pub fn update(&mut self, done: u64, remark: &str) {
        let of = format!("{} of {}", human::bytes(done), human::bytes(self.total));
        // What changes most comes first, because the end may be cut.
        let remark = if remark.is_empty() { of } else { format!("{remark}, {of}") };
        match &self.bar {
            Some(bar) => {
                bar.set_message(visible(&remark));
                bar.set_position(done);
            }
            None if self.told.elapsed() >= PLAIN_INTERVAL => {
                self.told = Instant::now();
                let percent = human::percent(done, self.total);
                self.screen.note(format!("{}: {percent} % ({remark})", self.label));
            }
            None => {}
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.screen.bars.remove(bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\nc\r"), "a\u{fffd}[31mb\nc\u{fffd}");
    }

    #[test]
    fn the_template_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
