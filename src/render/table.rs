//! Tables of text in aligned columns, as kubectl prints them.

use anstyle::{AnsiColor, Color, Style};

/// A table in the making.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
enum Row {
    Cells(Vec<(String, Style)>),
    Note(String),
}

impl Table {
    /// A table with these column heads.
    #[must_use]
    pub fn new<const N: usize>(heads: [&str; N]) -> Self {
        let cells = heads.map(|head| (head.to_owned(), bold()));
        Self {
            rows: vec![Row::Cells(cells.into())],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Style)>) {
        self.rows.push(Row::Cells(cells.into_iter().collect()));
    }

    /// Adds a line below the last row that keeps to no column.
    pub fn note(&mut self, text: impl Into<String>) {
        self.rows.push(Row::Note(text.into()));
    }

    /// The lines, each behind `indent` spaces and none with spaces at its end.
    #[must_use]
    pub fn lines(&self, indent: usize) -> Vec<String> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            for (column, (text, _)) in cells.iter().enumerate() {
                let width = text.chars().count();
                match widths.get_mut(column) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let line = |row: &Row| match row {
            Row::Note(text) => format!("{:indent$}{text}", ""),
            Row::Cells(cells) => {
                let mut line = " ".repeat(indent);
                let mut pending = 0;
                for ((text, style), width) in cells.iter().zip(&widths) {
                    if !text.is_empty() {
                        line.push_str(&" ".repeat(pending));
                        pending = 0;
                        line.push_str(&styled(text, *style));
                    }
                    pending += width + 2 - text.chars().count();
                }
                line
            }
        };
        self.rows.iter().map(line).collect()
    }
}

/// Text in a style, for every terminal that wants it.
pub(super) fn styled(text: &str, style: Style) -> String {
    if style == Style::new() {
        text.to_owned()
    } else {
        format!("{style}{text}{style:#}")
    }
}

pub(super) const fn plain() -> Style {
    Style::new()
}

pub(super) const fn bold() -> Style {
    Style::new().bold()
}

pub(super) const fn good() -> Style {
    colour(AnsiColor::Green)
}

pub(super) const fn bad() -> Style {
    colour(AnsiColor::Red)
}

pub(super) const fn waiting() -> Style {
    colour(AnsiColor::Yellow)
}

pub(super) const fn faint() -> Style {
    Style::new().dimmed()
}

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_end_where_their_words_do() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row([("long-name".to_owned(), plain()), (String::new(), plain())]);
        table.row([("x".to_owned(), plain()), ("open".to_owned(), good())]);
        table.note("a note");
        let lines = table.lines(2);
        let bare: Vec<String> = lines
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(
            bare,
            [
                "  NAME       STATE",
                "  long-name",
                "  x          open",
                "  a note"
            ]
        );
    }
}
