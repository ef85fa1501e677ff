//! Text of publishers, numbers and times as pages show them.

use std::borrow::Cow;

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::manifest::oci;
use crate::domain::text::Escaped;
use crate::domain::{Digest, Summary, VersionRow};

/// What stays as it is in addresses of files: of what RFC 3986 lets stand in paths, the characters that no shell
/// interprets, so that addresses can be pasted.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'+').remove(b',');
/// Longest text that lists show, in characters.
const SHORT: usize = 80;
/// Longest text that a list has at hand, in characters.
const AT_HAND: usize = 400;
/// Longest word in a badge, in characters.
const WORD: usize = 64;
/// Most files on a page.
const FILES: usize = 100;
/// Most bytes of a list of files, so that a page stays below half a megabyte whatever else is on it.
const LIST: usize = 200_000;
/// Most bytes of the rows of a table.
const ROWS: usize = 120 << 10;

/// Text of publishers, with what hides or reorders text made visible.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let harmless = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if harmless { text.into() } else { Escaped::new(text).to_string().into() }
}

/// The beginning of a text, of at most so many characters.
fn beginning(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// Text of publishers in a list: long ones are cut, and `title` has more of them.
pub(super) fn short(text: &str) -> Markup {
    let shown = escaped(beginning(text, AT_HAND));
    let cut = beginning(&shown, SHORT);
    if cut.len() == shown.len() {
        html! { (shown) }
    } else {
        html! { span title=(shown) { (cut) "…" } }
    }
}

/// The beginning of a text of publishers that should be one word.
pub(super) fn word(text: &str) -> Markup {
    let shown = escaped(beginning(text, WORD));
    let cut = beginning(&shown, WORD);
    html! { (cut) @if cut.len() < text.len() { "…" } }
}

/// How many files are on a page of a list whose entries have at most so many bytes each. The same for every page of a
/// list, so that pages can be counted.
pub(super) fn files_on_a_page(entries: impl Iterator<Item = usize>) -> usize {
    let longest = entries.max().unwrap_or(0);
    (LIST / longest.max(1)).clamp(1, FILES)
}

/// The first of these rows that are not too long together, at least one, and how many they are.
pub(super) fn fitting(rows: impl Iterator<Item = Markup>) -> (Markup, usize) {
    let (mut shown, mut number) = (String::new(), 0);
    for PreEscaped(row) in rows {
        if number > 0 && shown.len() + row.len() > ROWS {
            break;
        }
        shown.push_str(&row);
        number += 1;
    }
    (PreEscaped(shown), number)
}

/// The number of a version, as it is selected: `@4` behind the name.
pub(super) fn number(number: u64) -> Markup {
    html! { span.soft { "#" (number) } }
}

/// What people call a version, and its number if that is something else.
pub(super) fn called(row: &VersionRow) -> Markup {
    html! { (title(row)) @if row.summary.label.as_deref().is_some_and(|label| !label.trim().is_empty()) { " " (number(row.number)) } }
}

/// What people call a version: its label, else its number.
pub(super) fn title(row: &VersionRow) -> Markup {
    match row.summary.label.as_deref() {
        Some(label) if !label.trim().is_empty() => short(label),
        _ => html! { "Version " (row.number) },
    }
}

/// The same for titles of documents.
pub(super) fn plain_title(row: &VersionRow) -> String {
    let label = row.summary.label.as_deref().filter(|label| !label.trim().is_empty());
    let label = label.map(|label| beginning(&escaped(label), SHORT).to_owned());
    label.unwrap_or_else(|| format!("version {}", row.number))
}

/// A path with its slashes, as part of an address.
pub(super) fn in_path(path: &str) -> String {
    utf8_percent_encode(path, IN_PATH).to_string()
}

/// A value of a query.
pub(super) fn in_query(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// A number of bytes.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// The difference between two numbers of bytes.
pub(super) fn difference(bytes: i64) -> String {
    let sign = match bytes {
        0 => "±",
        1.. => "+",
        _ => "−",
    };
    format!("{sign}{}", size(bytes.unsigned_abs()))
}

/// `1 file`, `2 files`.
pub(super) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// How much a version is: `2 files, 3 MiB`. Images of containers have no files.
pub(super) fn amount(summary: &Summary) -> String {
    let size = size(summary.total_bytes);
    let is_image = summary.files == 0 && summary.media_type.as_deref().is_some_and(oci::is_oci);
    if is_image { size } else { format!("{}, {size}", count(summary.files, "file")) }
}

/// A moment in UTC; the script shows it in local time.
pub(super) fn time(time: Timestamp) -> Markup {
    let shown = time.strftime("%Y-%m-%d %H:%M UTC");
    html! { time datetime=(time) { (shown) } }
}

/// The beginning of a digest, enough to recognise it.
pub(super) fn digest(digest: Digest) -> String {
    digest.to_string().chars().take("sha256:".len() + 12).collect()
}

/// A line to copy. `what` names it to those who do not see it.
pub(super) fn copyable(what: &str, line: &str) -> Markup {
    html! { div.copy data-what=(what) { code { (line) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_a_shell() {
        assert_eq!(in_path("dir/a b'$(id)`;&.tar.gz"), "dir/a%20b%27%24%28id%29%60%3B%26.tar.gz");
    }

    #[test]
    fn what_hides_text_is_shown_and_long_text_is_cut() {
        assert_eq!(escaped("v1"), "v1");
        assert_eq!(escaped("v\u{202e}1"), "v\\u{202e}1");
        let long = short(&"x".repeat(200)).into_string();
        assert!(long.contains('…') && long.contains(&format!("title=\"{}\"", "x".repeat(200))), "{long}");
        assert_eq!(difference(-1024), "−1.0 KiB");
    }
}
