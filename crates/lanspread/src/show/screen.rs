//! The terminal: lines on standard output, progress bars and problems on standard error.
//!
//! A bar is drawn only in a terminal. Elsewhere a meter writes a plain line now and then, so that a log shows
//! progress without filling up.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::human;

/// Shortest time between two plain lines of one meter.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Output for people. Cheap to clone; all clones draw on the same terminal.
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
    /// Creates a screen that shows no progress, for output that machines read.
    pub fn quiet() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), draws: true }
    }

    /// Returns how many columns the terminal of the standard output has; `None` if it is no terminal.
    pub fn columns(&self) -> Option<usize> {
        console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
    }

    /// Writes a line to standard output.
    pub fn say(&self, text: impl AsRef<str>) {
        self.write(&mut io::stdout().lock(), text.as_ref());
    }

    /// Writes a line to standard error: a problem, or a note of passing interest.
    pub fn note(&self, text: impl AsRef<str>) {
        self.write(&mut io::stderr().lock(), text.as_ref());
    }

    fn write(&self, to: &mut impl Write, text: &str) {
        let text = visible(text);
        // Write errors are ignored: a closed pipe has no reader.
        self.bars.suspend(|| {
            let _ = writeln!(to, "{text}");
            let _ = to.flush();
        });
    }

    /// Starts a meter that shows progress up to `total` bytes.
    pub fn meter(&self, label: impl Into<String>, total: u64) -> Meter {
        let label = label.into();
        let columns = console::Term::stderr().size_checked().map_or(COLUMNS, |(_, columns)| columns.into());
        let layout = Layout::within(columns);
        let bar = self.draws.then(|| {
            let bar = self.bars.add(ProgressBar::new(total));
            bar.set_style(style(&layout));
            bar.set_prefix(visible(&label));
            bar
        });
        Meter {
            screen: self.clone(),
            label,
            total,
            bar,
            remark_columns: layout.remark_columns,
            told: Instant::now(),
        }
    }
}

/// Width of a terminal that does not tell its own.
const COLUMNS: usize = 80;

/// Parts of a progress line. It must fit into one line, because a wrapped line could not be erased.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    template: &'static str,
    /// Columns that are left for the remark.
    remark_columns: usize,
}

impl Layout {
    fn within(columns: usize) -> Self {
        let (template, taken) = match columns {
            72.. => ("{prefix:.22}  {bar:12}  {whole_percent} %  {wide_msg}", 22 + 2 + 12 + 2 + 5 + 2),
            _ => ("{prefix:.12}  {whole_percent} %  {wide_msg}", 12 + 2 + 5 + 2),
        };
        Self { template, remark_columns: columns.saturating_sub(taken) }
    }
}

fn style(layout: &Layout) -> ProgressStyle {
    // The library's own percentage is rounded, so it would be 100 before the end.
    let percent = |state: &ProgressState, to: &mut dyn std::fmt::Write| {
        let _ = write!(to, "{:>3}", human::percent(state.pos(), state.len().unwrap_or_default()));
    };
    ProgressStyle::with_template(layout.template).map_or_else(
        |_| ProgressStyle::default_bar(),
        |style| style.with_key("whole_percent", percent).progress_chars("━╸─"),
    )
}

/// As many parts of a remark, from its beginning, as fit into this width.
fn fitting(remark: &str, columns: usize) -> &str {
    let ends = remark.match_indices(", ").map(|(at, _)| at).chain([remark.len()]);
    ends.filter(|&end| remark[..end].chars().count() <= columns).last().map_or("", |end| &remark[..end])
}

/// Names and reasons come from other machines and disks. Control characters in them must not steer the terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A progress bar, or its plain lines where no bar is drawn.
#[derive(Debug)]
pub struct Meter {
    screen: Screen,
    label: String,
    total: u64,
    bar: Option<ProgressBar>,
    remark_columns: usize,
    told: Instant,
}

impl Meter {
    /// Shows `done` bytes of the total; `remark` adds detail, such as a rate.
    pub fn update(&mut self, done: u64, remark: &str) {
        let of = format!("{} of {}", human::bytes(done), human::bytes(self.total));
        // The part that changes most comes first, because the end may be cut.
        let remark = if remark.is_empty() { of } else { format!("{remark}, {of}") };
        match &self.bar {
            Some(bar) => {
                bar.set_message(visible(fitting(&remark, self.remark_columns)));
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
    fn progress_fits_into_one_line() {
        let remark = "118 MB/s, 49 s left, 2 peers, 1.2 GB of 4 GB";
        for (columns, shown) in [
            (120, remark),
            (80, "118 MB/s, 49 s left, 2 peers"),
            (60, "118 MB/s, 49 s left, 2 peers"),
            (40, "118 MB/s, 49 s left"),
            (20, ""),
        ] {
            let layout = Layout::within(columns);
            assert!(ProgressStyle::with_template(layout.template).is_ok());
            assert_eq!(fitting(remark, layout.remark_columns), shown, "{columns}");
        }
    }
}
