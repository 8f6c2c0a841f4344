//! Plain tables: a head and aligned columns without borders, so that text tools can cut and sort them.
//!
//! In a terminal too narrow for all columns, long texts are cut; where even that is not enough, each row becomes a
//! paragraph.

/// Alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Narrowest width to which a text is cut.
const CUT_MIN: usize = 8;
/// Blanks between two columns.
const GAP: usize = 2;

/// A table that grows row by row.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
    /// Columns whose texts are never cut.
    whole: Vec<usize>,
}

impl Table {
    /// Creates an empty table with these titles and alignments.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), whole: Vec::new() }
    }

    /// Removes a column. Call it before the first row is added.
    pub fn without(mut self, column: usize) -> Self {
        self.columns.remove(column);
        self
    }

    /// Never cuts the texts of a column.
    pub fn whole(mut self, column: usize) -> Self {
        self.whole.push(column);
        self
    }

    /// Adds a row. Missing cells stay empty, surplus ones are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().take(self.columns.len()).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// Returns the lines, head first, without trailing blanks.
    pub fn lines(&self) -> Vec<String> {
        let head: Vec<String> = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        let widths = self.widths();
        std::iter::once(&head).chain(&self.rows).map(|row| self.line(row, &widths)).collect()
    }

    /// Returns the lines for a terminal with so many columns; `None` is no terminal, and nothing is cut.
    pub fn lines_within(&self, columns: Option<usize>) -> Vec<String> {
        let Some(columns) = columns else { return self.lines() };
        let mut widths = self.widths();
        let all = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        while all(&widths) > columns {
            let cuttable = widths.iter_mut().enumerate().filter(|(at, width)| **width > self.least(*at));
            let Some((_, widest)) = cuttable.max_by_key(|(_, width)| **width) else {
                return self.paragraphs(columns);
            };
            *widest -= 1;
        }
        let head: Vec<String> = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        let fitted = |row: &Vec<String>| -> Vec<String> {
            row.iter().zip(&widths).map(|(cell, &width)| cut(cell, width)).collect()
        };
        std::iter::once(&head).chain(&self.rows).map(|row| self.line(&fitted(row), &widths)).collect()
    }

    /// Width below which a column is not cut: numbers and the whole texts never are.
    fn least(&self, column: usize) -> usize {
        let (title, align) = self.columns[column];
        if align == Align::Right || self.whole.contains(&column) {
            return usize::MAX;
        }
        title.chars().count().max(CUT_MIN)
    }

    /// Each row as its first cell, and the others below it with their titles.
    fn paragraphs(&self, columns: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for row in &self.rows {
            let mut cells = row.iter().zip(&self.columns);
            lines.extend(cells.next().map(|(first, _)| cut(first, columns)));
            for (cell, (title, _)) in cells.filter(|(cell, _)| !matches!(cell.as_str(), "" | "-")) {
                lines.extend(wrapped(&format!("{}: {cell}", title.to_lowercase()), columns));
            }
        }
        lines
    }

    fn widths(&self) -> Vec<usize> {
        let cells = |at: usize| self.rows.iter().map(move |row| row[at].chars().count());
        let width = |(at, (title, _)): (usize, &(&str, Align))| {
            cells(at).max().unwrap_or(0).max(title.chars().count())
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells =
            row.iter().zip(&self.columns).zip(widths).map(|((cell, (_, align)), &width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
    }
}

/// Cuts a text to a width, and marks the cut.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Breaks a text between words, indented under the first cell of its row. A longer word is cut.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    const INDENT: &str = "  ";
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(cut(&format!("{INDENT}{word}"), columns)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[("GAME", Align::Left), ("SIZE", Align::Right), ("HERE", Align::Left)]);
        table.row(["größe".to_owned(), "1 B".to_owned(), "yes".to_owned()]);
        table.row(["b".to_owned(), "128 MB".to_owned()]);
        assert_eq!(table.lines(), ["GAME     SIZE  HERE", "größe     1 B  yes", "b      128 MB"]);
    }

    fn wide() -> Table {
        let mut table = Table::new(&[("GAME", Align::Left), ("TITLE", Align::Left), ("SIZE", Align::Right)]);
        table.row(["ggoo".to_owned(), "Great Game of Old Renown".to_owned(), "128 MB".to_owned()]);
        table
    }

    #[test]
    fn long_texts_are_cut_in_a_terminal_only() {
        assert_eq!(wide().lines_within(None), wide().lines());
        assert_eq!(wide().lines_within(Some(80)), wide().lines());
        assert_eq!(
            wide().lines_within(Some(30)),
            ["GAME  TITLE               SIZE", "ggoo  Great Game of O…  128 MB"]
        );
    }

    #[test]
    fn rows_become_paragraphs_where_columns_do_not_fit() {
        let expected = ["ggoo", "  title: Great", "  Game of Old", "  Renown", "  size: 128 MB"];
        assert_eq!(wide().lines_within(Some(16)), expected);
        assert_eq!(wide().whole(1).lines_within(Some(16)), expected);
    }
}
