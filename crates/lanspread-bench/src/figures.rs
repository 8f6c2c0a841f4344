//! Output of the benchmarks: JSON lines with every figure, and tables of medians and spreads for people.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::machine::Machine;

/// A cell without a value.
pub const NOTHING: &str = "-";

/// Output of one command: the terminal and, if asked for, a file of JSON lines.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    json: Option<File>,
}

impl Report {
    /// Prints machine, commit and command. Appends the JSON lines of [`Self::record`] to the file, if there is one.
    pub fn begin(json: Option<&Path>) -> Result<Self> {
        let machine = Machine::read();
        let open = |path: &Path| {
            File::options().create(true).append(true).open(path).with_context(|| path.display().to_string())
        };
        let report = Self { json: json.map(open).transpose()?, machine };
        say(&format!(
            "machine  {}\ncommit   {}\ncommand  {}\nload     {:.2} at the start\n",
            report.machine.name,
            report.machine.commit,
            report.machine.command,
            Machine::load()
        ));
        Ok(report)
    }

    /// Appends one run as a JSON line, with machine, commit, command and load.
    pub fn record(&mut self, record: &impl Serialize) -> Result<()> {
        let Some(file) = &mut self.json else { return Ok(()) };
        let mut line = json!({
            "time_s": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
            "load": Machine::load(),
            "machine": self.machine.name, "commit": self.machine.commit, "command": self.machine.command,
        });
        if let (Some(line), Value::Object(record)) = (line.as_object_mut(), serde_json::to_value(record)?) {
            line.extend(record);
        }
        writeln!(file, "{line}")?;
        Ok(())
    }
}

/// Prints a line for people.
pub fn say(text: &str) {
    // Write errors are ignored: a closed output has no reader.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Several measurements of one quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Middle value, or the mean of the two middle ones.
    pub median: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Number of values, at least 1.
    pub count: usize,
}

impl Spread {
    /// Summarises the values; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max, count: values.len() })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        write!(f, "{:.digits$}", self.median)?;
        if self.count > 1 {
            write!(f, " ({:.digits$}..{:.digits$})", self.min, self.max)?;
        }
        Ok(())
    }
}

/// Returns a percentile by nearest rank: the smallest value that at least `percent` of the values do not exceed. `None`
/// if there are no values.
pub fn percentile(values: impl IntoIterator<Item = f64>, percent: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

/// Formats a spread as a cell; a dash if there are no values.
pub fn cell(values: impl IntoIterator<Item = f64>, digits: usize) -> String {
    Spread::of(values).map_or(NOTHING.to_owned(), |spread| format!("{spread:.digits$}"))
}

/// Rows under headers, printed as aligned Markdown.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table without rows.
    pub fn new(headers: &[&str]) -> Self {
        Self { rows: vec![headers.iter().map(|&h| h.to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Returns whether the table has no rows below the headers.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Removes the columns in which no row has a value.
    pub fn without_blanks(self) -> Self {
        let columns = self.rows.first().map_or(0, Vec::len);
        let says = |column: &usize| self.rows.iter().skip(1).any(|row| row[*column] != NOTHING);
        let kept: Vec<usize> = (0..columns).filter(says).collect();
        let pick = |row: &Vec<String>| kept.iter().map(|&column| row[column].clone()).collect();
        Self { rows: self.rows.iter().map(pick).collect() }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &[String], i: usize| row.get(i).cloned().unwrap_or_default();
        let width = |i| self.rows.iter().map(|row| cell(row, i).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = widths.iter().enumerate().map(|(i, &width)| format!(" {:<width$} |", cell(row, i)));
            writeln!(f, "|{}", cells.collect::<String>())?;
            if number == 0 {
                let rule = widths.iter().map(|&width| format!("{}|", "-".repeat(width + 2)));
                writeln!(f, "|{}", rule.collect::<String>())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_has_median_and_extremes() {
        let text = |values: &[f64]| cell(values.iter().copied(), 2);
        assert_eq!(text(&[3.0, 1.0, 2.0]), "2.00 (1.00..3.00)");
        assert_eq!(text(&[4.0, 1.0]), "2.50 (1.00..4.00)");
        assert_eq!(text(&[1.5]), "1.50");
        assert_eq!(text(&[]), "-");
    }

    #[test]
    fn percentile_is_one_of_the_values() {
        let of = |count: u32, percent| percentile((1..=count).rev().map(f64::from), percent);
        assert_eq!((of(6, 50.0), of(6, 99.0)), (Some(3.0), Some(6.0)));
        assert_eq!((of(200, 50.0), of(200, 99.0)), (Some(100.0), Some(198.0)));
        assert_eq!((of(1, 50.0), of(0, 50.0)), (Some(1.0), None));
    }

    #[test]
    fn columns_without_values_are_left_out() {
        let mut table = Table::new(&["a", "b", "c"]);
        table.row(vec!["1".to_owned(), cell([], 0), cell([], 0)]);
        table.row(vec!["2".to_owned(), cell([], 0), "3".to_owned()]);
        assert_eq!(table.without_blanks().to_string(), "| a | c |\n|---|---|\n| 1 | - |\n| 2 | 3 |\n");
    }

    #[test]
    fn table_is_aligned_markdown() {
        let mut table = Table::new(&["a", "bc"]);
        table.row(vec!["x × y".to_owned(), "1".to_owned()]);
        assert_eq!(table.to_string(), "| a     | bc |\n|-------|----|\n| x × y | 1  |\n");
    }
}
