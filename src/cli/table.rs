//! Plain tables: columns as wide as their widest cell, separated by two spaces, without trailing spaces.

use bytesize::ByteSize;
use jiff::Timestamp;

use crate::domain::text::Escaped;

/// Rows of text with a header.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these column headers.
    pub(super) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    /// Appends a row.
    pub(super) fn add<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    /// The table as text, without a newline after the last row.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
            cells.join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A number of bytes in human-readable form.
pub(super) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// `1 file`, `2 files`.
pub(super) fn files(count: usize) -> String {
    format!("{count} {}", if count == 1 { "file" } else { "files" })
}

/// A time with a precision of seconds, or `-`.
pub(super) fn moment(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"))
}

/// Text from other sources in one line, without anything that controls a terminal or hides text.
pub(super) fn text(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| Escaped::new(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["A", "LONGER"]);
        table.add(["123".into(), "x".into()]);
        assert_eq!(table.render(), "A    LONGER\n123  x");
    }

    #[test]
    fn cells_are_for_people() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1536), "1.5 KiB");
        let time = "2026-05-14T18:20:00.123Z".parse().unwrap();
        assert_eq!(moment(Some(time)), "2026-05-14T18:20:00Z");
        assert_eq!(moment(None), "-");
        assert_eq!(text(Some("a\u{1b}[31m\u{202e}b")), "a\\u{1b}[31m\\u{202e}b");
    }
}
