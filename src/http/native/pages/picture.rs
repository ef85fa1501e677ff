//! Small pictures, with their content as text: what was active when, and how large versions are.

use jiff::Timestamp;
use maud::{Markup, html};

use super::text;
use crate::domain::VersionRow;
use crate::domain::head::Activation;

/// Height of a lane of the timeline, in CSS pixels.
const LANE: u64 = 22;
/// Height of the bars, in CSS pixels.
const HEIGHT: u64 = 120;
/// Share of the width that is left of the bars, for numbers of versions, in thousandths.
const MARGIN: u64 = 130;
/// Smallest width of a bar, in thousandths.
const NARROW: u64 = 8;
/// Bars in a picture of sizes.
const BARS: usize = 30;

/// A position or width as SVG spells it.
fn percent(thousandths: u64) -> String {
    format!("{}.{}%", thousandths / 10, thousandths % 10)
}

/// `part` of `whole`, in thousandths of `of`.
fn share(part: u64, whole: u64, of: u64) -> u64 {
    let share = u128::from(part) * u128::from(of) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(of).min(of)
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_second() - from.as_second()).unwrap_or(0)
}

/// One lane for each version that was active lately, the newest at the top. `None` unless there were two.
pub(super) fn timeline(activations: &[Activation], now: Timestamp) -> Option<Markup> {
    let began = activations.last()?.at;
    let ended = |one: &Activation| one.until.unwrap_or(now);
    let last = activations.first().map(ended)?;
    let mut lanes: Vec<u64> = activations.iter().map(|one| one.version).collect();
    lanes.sort_unstable_by(|one, other| other.cmp(one));
    lanes.dedup();
    if lanes.len() < 2 {
        return None;
    }
    let whole = seconds(began, last);
    let bar = |one: &Activation, lane: usize| {
        let width = share(seconds(one.at, ended(one)), whole, 1000 - MARGIN).max(NARROW);
        let x = (MARGIN + share(seconds(began, one.at), whole, 1000 - MARGIN)).min(1000 - width);
        let y = lane as u64 * LANE + 4;
        let class = if one.until.is_none() { "now" } else { "then" };
        html! { rect.(class) x=(percent(x)) y=(y) width=(percent(width)) height=(LANE - 8) rx="3" {} }
    };
    let spoken: Vec<String> = activations.iter().rev().map(spoken).collect();
    Some(html! {
        figure {
            figcaption { "What was active when" }
            svg role="img" height=(lanes.len() as u64 * LANE) aria-labelledby="timeline" {
                title #timeline { (spoken.join("; ")) }
                @for (lane, version) in lanes.iter().enumerate() {
                    line.rule x1=(percent(MARGIN)) x2="100%" y1=(lane as u64 * LANE + LANE / 2) y2=(lane as u64 * LANE + LANE / 2) {}
                    text x="0" y=(lane as u64 * LANE + 15) { "#" (version) }
                    @for one in activations.iter().filter(|one| one.version == *version) { (bar(one, lane)) }
                }
            }
            div.ends { span { (text::time(began)) } span { @if activations[0].until.is_none() { "now" } @else { (text::time(last)) } } }
        }
    })
}

/// An activation as a part of a sentence.
fn spoken(one: &Activation) -> String {
    let at = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let until = one.until.map_or_else(|| "now".to_owned(), at);
    format!("version {} from {} to {until}", one.version, at(one.at))
}

/// A bar for each of these versions, given newest first. `None` unless there are two.
pub(super) fn sizes(rows: &[VersionRow]) -> Option<Markup> {
    let mut rows: Vec<&VersionRow> = rows.iter().filter(|row| row.published_at.is_some()).take(BARS).collect();
    rows.reverse();
    let (first, last) = (rows.first()?, rows.last()?);
    if rows.len() < 2 {
        return None;
    }
    let total = |row: &VersionRow| row.summary.total_bytes;
    let largest = rows.iter().map(|row| total(row)).max().unwrap_or(0);
    let smallest = rows.iter().map(|row| total(row)).min().unwrap_or(0);
    // Few versions do not fill the width with slabs.
    let step = 1000 / rows.len().max(6) as u64;
    let about = format!(
        "Total size of versions {} to {}: from {} to {}",
        first.number,
        last.number,
        text::size(smallest),
        text::size(largest)
    );
    Some(html! {
        figure {
            figcaption { "Size of versions" }
            svg role="img" height=(HEIGHT) aria-labelledby="sizes" {
                title #sizes { (about) }
                @for (at, row) in rows.iter().enumerate() {
                    @let tall = share(total(row), largest, HEIGHT - 4).max(2);
                    @let class = if row.number == last.number { "now" } else { "then" };
                    rect.(class) x=(percent(at as u64 * step)) y=(HEIGHT - tall) width=(percent(step * 7 / 10)) height=(tall) rx="2" {
                        title { "Version " (row.number) ": " (text::size(total(row))) }
                    }
                }
                line.rule x1="0" x2="100%" y1=(HEIGHT) y2=(HEIGHT) {}
            }
            div.ends { span { "Versions " (first.number) "–" (last.number) } span { (text::size(smallest)) " – " (text::size(largest)) } }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Carried;

    #[test]
    fn a_rollback_is_two_bars_in_one_lane() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let active = |version, from, until: Option<i64>| Activation {
            version,
            at: at(from),
            until: until.map(at),
            other: Carried::default(),
        };
        let activations = [active(1, 200, None), active(2, 100, Some(200)), active(1, 0, Some(100))];
        let picture = timeline(&activations, at(300)).unwrap().into_string();
        assert_eq!((picture.matches("<rect").count(), picture.matches("<line").count()), (3, 2));
        assert!(picture.contains("version 1 from 2027-01-15 08:03 UTC to now"), "{picture}");
        assert!(timeline(&activations[2..], at(300)).is_none());
        let in_no_time = [active(2, 0, None), active(1, 0, Some(0))];
        assert!(timeline(&in_no_time, at(0)).unwrap().into_string().contains("0.8%"), "no division by zero");
    }
}
