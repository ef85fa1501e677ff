//! Tables for people: columns separated by two spaces, fitted to the width of the terminal.
//!
//! Only what is shown to somebody is fitted. When stdout is not a terminal, and with `--wide`, nothing is shortened and
//! no column is left out, so that what a script reads never depends on where it runs. `COLUMNS`, if it is exported,
//! states a width, whatever stdout is.

use std::io::{self, IsTerminal as _};

use bytesize::ByteSize;
use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::domain::Digest;
use crate::domain::text::Escaped;

/// Width of a terminal that does not tell its own, in columns.
const USUAL_WIDTH: usize = 80;
/// Narrowest width to fit anything into, in columns.
const MIN_WIDTH: usize = 20;
/// Width of the gap between two columns.
const GAP: usize = 2;
/// Width down to which texts are cut unless a column states another one.
const TEXT_WIDTH: usize = 12;
/// Number of digits that a shortened digest keeps.
const DIGEST_DIGITS: usize = 12;

/// `--wide`, for commands that print tables.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct TableArgs {
    /// Shorten nothing, however narrow the terminal is
    #[arg(long, help_heading = "Output")]
    wide: bool,
}

impl TableArgs {
    /// The width to fit tables into; `None` for no limit.
    pub(super) fn width(self) -> Option<usize> {
        if self.wide { None } else { width() }
    }
}

/// The width to fit output into: `COLUMNS` if it is set, else that of the terminal; `None` if there is neither.
pub(super) fn width() -> Option<usize> {
    let stated = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|width| *width > 0);
    let terminal = || {
        let out = io::stdout();
        out.is_terminal().then(|| match rustix::termios::tcgetwinsize(&out) {
            Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
            _ => USUAL_WIDTH,
        })
    };
    stated.or_else(terminal).map(|width: usize| width.max(MIN_WIDTH))
}

/// How the cells of a column may be shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Never.
    Whole,
    /// Cut down to this width at the least, with an ellipsis.
    Cut(usize),
    /// `sha256:HEX` to its first digits.
    Digest,
    /// `2026-05-14T18:20:00Z` to `2026-05-14 18:20`.
    Time,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    head: &'static str,
    kind: Kind,
    right: bool,
    /// Columns of higher rank are left out first if a table does not fit; those of rank 0 never.
    rank: u8,
}

impl Column {
    const fn new(head: &'static str, kind: Kind) -> Self {
        Self { head, kind, right: false, rank: 0 }
    }

    /// A column whose cells are never shortened.
    pub(super) const fn whole(head: &'static str) -> Self {
        Self::new(head, Kind::Whole)
    }

    /// A column of numbers: aligned to the right.
    pub(super) const fn number(head: &'static str) -> Self {
        Self { right: true, ..Self::whole(head) }
    }

    /// A column of texts, which may be cut down to `min` columns.
    pub(super) const fn text(head: &'static str, min: usize) -> Self {
        Self::new(head, Kind::Cut(min))
    }

    /// A column of digests.
    pub(super) const fn digest(head: &'static str) -> Self {
        Self::new(head, Kind::Digest)
    }

    /// A column of times, as [`moment`] writes them.
    pub(super) const fn time(head: &'static str) -> Self {
        Self::new(head, Kind::Time)
    }

    /// The same column, left out of tables that are too wide, those of the highest rank first.
    pub(super) const fn optional(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// A cell as it is shown where width is limited.
    fn shortened(self, cell: &str) -> String {
        match self.kind {
            Kind::Digest => shortened(cell),
            Kind::Time if cell.len() > 16 => cell.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect(),
            Kind::Time | Kind::Whole | Kind::Cut(_) => cell.to_owned(),
        }
    }

    /// The least width of the column if its widest cell has this width.
    fn least(self, natural: usize) -> usize {
        match self.kind {
            Kind::Cut(min) => natural.min(min.max(self.head.width())),
            Kind::Whole | Kind::Digest | Kind::Time => natural,
        }
    }
}

impl From<&'static str> for Column {
    /// A column of texts, which may be cut.
    fn from(head: &'static str) -> Self {
        Self::text(head, TEXT_WIDTH)
    }
}

/// Rows of text with a header.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns, or headers of columns of texts.
    pub(super) fn new<C: Copy + Into<Column>>(columns: &[C]) -> Self {
        Self { columns: columns.iter().map(|column| (*column).into()).collect(), rows: Vec::new() }
    }

    /// Appends a row.
    pub(super) fn add<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    /// The table as text, fitted to the terminal, without a newline after the last row.
    pub(super) fn render(&self) -> String {
        self.fitted(width())
    }

    /// The table as text, fitted to `width`, without a newline after the last row.
    ///
    /// It is wider only if the columns that are never shortened or left out do not fit.
    pub(super) fn fitted(&self, width: Option<usize>) -> String {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let rows = self.cells(width.is_some());
        let natural = self.natural(&rows);
        let widths = loop {
            let widths: Vec<usize> = shown.iter().map(|at| natural[*at]).collect();
            let Some(limit) = width else { break widths };
            let columns: Vec<Column> = shown.iter().map(|at| self.columns[*at]).collect();
            let fitted = fit(&columns, widths, limit);
            let last = shown.iter().copied().max_by_key(|at| self.columns[*at].rank);
            match last.filter(|at| self.columns[*at].rank > 0) {
                Some(last) if total(&fitted) > limit => shown.retain(|at| *at != last),
                _ => break fitted,
            }
        };
        let head: Vec<String> = self.columns.iter().map(|column| column.head.to_owned()).collect();
        let line = |row: &Vec<String>| {
            let cells = shown.iter().zip(&widths);
            let padded = cells.map(|(at, width)| pad(&row[*at], *width, self.columns[*at].right));
            padded.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
        };
        std::iter::once(&head).chain(&rows).map(line).collect::<Vec<_>>().join("\n")
    }

    fn cells(&self, limited: bool) -> Vec<Vec<String>> {
        let cell = |(column, cell): (&Column, &String)| if limited { column.shortened(cell) } else { cell.clone() };
        self.rows.iter().map(|row| self.columns.iter().zip(row).map(cell).collect()).collect()
    }

    /// The width of each column's widest cell.
    fn natural(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let widest = |(at, column): (usize, &Column)| {
            rows.iter().map(|row| row[at].width()).max().unwrap_or(0).max(column.head.width())
        };
        self.columns.iter().enumerate().map(widest).collect()
    }
}

/// Takes from the widest of the columns that may be cut until everything fits, or nothing more can be taken.
fn fit(columns: &[Column], mut widths: Vec<usize>, limit: usize) -> Vec<usize> {
    let least: Vec<usize> = columns.iter().zip(&widths).map(|(column, width)| column.least(*width)).collect();
    while total(&widths) > limit {
        let widest = (0..widths.len()).filter(|at| widths[*at] > least[*at]).max_by_key(|at| widths[*at]);
        match widest {
            Some(at) => widths[at] -= 1,
            None => break,
        }
    }
    widths
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// A cell cut and padded to exactly `width` columns.
fn pad(cell: &str, width: usize, right: bool) -> String {
    let cell = cut(cell, width);
    let space = " ".repeat(width.saturating_sub(cell.width()));
    if right { space + &cell } else { cell + &space }
}

/// A digest as it is shown to somebody: its first digits where width is limited.
pub(super) fn digest(digest: &Digest) -> String {
    let whole = digest.to_string();
    if width().is_some() { shortened(&whole) } else { whole }
}

fn shortened(digest: &str) -> String {
    digest.strip_prefix("sha256:").map_or_else(|| digest.to_owned(), |hex| hex.chars().take(DIGEST_DIGITS).collect())
}

/// Text of at most `width` columns; what is cut off is replaced by an ellipsis.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = width.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else { break };
        left = rest;
        kept.push(c);
    }
    kept + "…"
}

/// A number of bytes in human-readable form.
pub(super) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A difference of sizes in human-readable form, with its sign.
pub(super) fn size_change(bytes: i64) -> String {
    let sign = match bytes {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", size(bytes.unsigned_abs()))
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
mod tests;
