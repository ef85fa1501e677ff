//! The plot for the documentation: how Larder compares with the best peer, one bar for each load.
//!
//! Its colours can be read on a light and on a dark ground, because it has none of its own.

use std::fmt::Write as _;

use super::options::Sizes;
use super::results::{Results, Who};
use super::servers::Kind;

/// Where the bars begin and end, from the left.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 860.0;
const WIDTH: f64 = 1000.0;
const TOP: f64 = 56.0;
const ROW: f64 = 22.0;
/// Colours of text and lines, of bars of at least 1, and of those below.
const INK: &str = "#6e7681";
const AHEAD: &str = "#2f81f7";
const BEHIND: &str = "#d9822b";
/// Marks of the axis.
const MARKS: [f64; 14] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];

/// The bars' rows: what is compared, how it compares, and with whom.
fn bars(results: &Results, sizes: &Sizes) -> Vec<(String, f64, &'static str)> {
    let ours = results.rows.iter().filter(|row| row.who == Who::Peer(Kind::Larder));
    let bar = ours.filter_map(|row| {
        let (ratio, kind) = results.ratio_to_best(row.work, row.connections)?;
        let connections = row.connections.map_or_else(String::new, |count| format!(", {count} conn."));
        Some((format!("{}{connections}", row.work.name(sizes)), ratio, kind.name()))
    });
    bar.filter(|(_, ratio, _)| ratio.is_finite() && *ratio > 0.0).collect()
}

/// The plot. The axis is logarithmic: twice as good is as far from the line as half as good.
pub(crate) fn plot(results: &Results, sizes: &Sizes, caption: &str) -> String {
    let bars = bars(results, sizes);
    let ratios = || bars.iter().map(|bar| bar.1);
    let low = MARKS.into_iter().rev().find(|mark| ratios().all(|ratio| ratio >= *mark)).unwrap_or(MARKS[0]).min(0.5);
    let high = MARKS.into_iter().find(|mark| ratios().all(|ratio| ratio <= *mark)).unwrap_or(MARKS[13]).max(2.0);
    let place = |ratio: f64| {
        let share = (ratio.clamp(low, high) / low).ln() / (high / low).ln();
        LEFT + share * (RIGHT - LEFT)
    };
    let bottom = TOP + ROW * bars.len() as f64;
    let height = bottom + 24.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{INK}\">\n\
         <title>Larder compared with its peers</title>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\" font-weight=\"600\">\
         Larder: how many times as good as the best of its peers</text>\n\
         <text x=\"10\" y=\"40\">{}</text>\n",
        escape(caption)
    );
    for mark in MARKS.into_iter().filter(|mark| (low..=high).contains(mark)) {
        let (x, width) = (place(mark), if mark.ln().abs() < 1e-9 { 2.0 } else { 0.5 });
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{INK}\" stroke-width=\"{width}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\">{mark}</text>",
            bottom + 16.0
        );
    }
    for (at, (name, ratio, peer)) in bars.iter().enumerate() {
        let top = TOP + ROW * at as f64;
        let (one, end) = (place(1.0), place(*ratio));
        let (x, width) = (one.min(end), (one - end).abs().max(1.0));
        let (colour, after) = (if *ratio >= 1.0 { AHEAD } else { BEHIND }, one.max(end) + 6.0);
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"{colour}\"/>\
             <text x=\"{after:.1}\" y=\"{:.1}\">{ratio:.2} <tspan font-size=\"11\">{peer}</tspan></text>",
            LEFT - 8.0,
            top + 15.0,
            escape(name),
            top + 4.0,
            ROW - 8.0,
            top + 15.0,
        );
    }
    text + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
