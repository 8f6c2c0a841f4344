//! Tables: a head, aligned columns, nothing else, so that they can be cut and sorted like any text.

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// The same without one of its columns; before any row is added.
    pub fn without(mut self, column: usize) -> Self {
        self.columns.remove(column);
        self
    }

    /// Adds a row; cells that are missing stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().take(self.columns.len()).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// The lines, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let head: Vec<String> = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        let all: Vec<&Vec<String>> = std::iter::once(&head).chain(&self.rows).collect();
        let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        all.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells =
            row.iter().zip(&self.columns).zip(widths).map(|((cell, (_, align)), &width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&[("GAME", Align::Left), ("SIZE", Align::Right), ("HERE", Align::Left)]);
        table.row(["größe".to_owned(), "1 B".to_owned(), "yes".to_owned()]);
        table.row(["b".to_owned(), "128 MiB".to_owned()]);
        assert_eq!(table.lines(), ["GAME      SIZE  HERE", "größe      1 B  yes", "b      128 MiB"]);
    }
}
