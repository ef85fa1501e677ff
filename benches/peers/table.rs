//! The table for people.

use std::fmt::Write as _;

use super::goals::Goal;
use super::options::Sizes;
use super::results::{Results, Row, Unit, Who};
use super::servers::Kind;

/// All rows. Of each load, Larder's row says how it compares with the best of the peers, the others how Larder
/// compares with them.
pub(crate) fn table(results: &Results, sizes: &Sizes) -> String {
    let mut text = format!(
        "{:33} {:>5} {:20} {:>15} {:>10} {:>10} {:>15} {:>8} {:>6}  {}\n",
        "load", "conn", "peer", "median", "p50 ms", "p99 ms", "CPU", "MiB", "client", "larder is better by"
    );
    let mut last = None;
    for row in in_groups(results) {
        let group = (row.work, row.connections);
        if last.is_some_and(|last| last != group) {
            text.push('\n');
        }
        last = Some(group);
        let _ = writeln!(text, "{}", line(results, row, sizes));
    }
    text
}

/// Rows of the same load next to each other.
fn in_groups(results: &Results) -> impl Iterator<Item = &Row> {
    let mut groups = Vec::new();
    for row in &results.rows {
        if !groups.contains(&(row.work, row.connections)) {
            groups.push((row.work, row.connections));
        }
    }
    groups.into_iter().flat_map(|group| results.rows.iter().filter(move |row| (row.work, row.connections) == group))
}

fn line(results: &Results, row: &Row, sizes: &Sizes) -> String {
    let figure =
        |value: Option<f64>, digits: usize| value.map_or_else(String::new, |value| format!("{value:.digits$}"));
    let millis = |of: Option<f64>| figure(of.map(|micros| micros / 1e3), 3);
    let (unit, value) = (row.work.unit(), row.value());
    let digits = match unit {
        Unit::Seconds => 3,
        _ => usize::from(value < 100.0),
    };
    let cpu = row.cpu().map_or_else(String::new, |(time, unit)| format!("{time:.3} {unit}"));
    let client = figure(row.median(|sample| sample.client).map(|share| 100.0 * share), 0);
    let compared = if row.who == Who::Peer(Kind::Larder) {
        let best = results.ratio_to_best(row.work, row.connections);
        best.map_or_else(String::new, |(ratio, kind)| format!("{ratio:.2} x the best peer, {}", kind.name()))
    } else {
        results.ratio(row).map_or_else(String::new, |ratio| format!("{ratio:.2} x"))
    };
    let connections = row.connections.map_or_else(String::new, |count| count.to_string());
    let line = format!(
        "{:33} {connections:>5} {:20} {:>15} {:>10} {:>10} {cpu:>15} {:>8} {:>6}  {compared}",
        row.work.name(sizes),
        row.who.name(),
        format!("{value:.digits$} {}", unit.name()),
        millis(row.median(|sample| sample.p50)),
        millis(row.median(|sample| sample.p99)),
        figure(row.median(|sample| sample.memory), 0),
        if client.is_empty() { client } else { format!("{client} %") },
    );
    line.trim_end().to_owned()
}

/// What the figures mean.
pub(crate) const LEGEND: &str = "\
conn: connections that are kept, one request under way on each. median: of the rounds. p50, p99: of the requests; of a
publish beside reads, those of the reads. CPU: time of the server and its workers in user and system mode, by
/proc/PID/stat, for a GiB of bodies or for a request. MiB: the sum of the high-water marks of resident memory of the
server and its workers (VmHWM, set back before each run; shared pages count for each). client: share of its cores that
the load generator used; near 100 % it is what was measured. In parentheses: the machine without a server, one process.
GET ref: nginx answers a file as long as Larder's whole redirect. start: until the first answer to /livez, or with a
manifest; the other peers on their stores as they are.";

/// What each peer's answer to an upload means.
pub(crate) fn durability(kinds: &[Kind]) -> String {
    let mut text = "durability\n".to_owned();
    for kind in kinds {
        let _ = writeln!(text, "  {:16} {}", kind.name(), kind.durability());
    }
    text
}

/// All goals.
pub(crate) fn goals(goals: &[Goal]) -> String {
    let mut text = "goals\n".to_owned();
    for goal in goals {
        let _ = writeln!(text, "  {}", goal.line());
    }
    text
}
