//! The load generator `wrk`, for who does not trust that of this program: it takes each answer apart.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::cores::Cores;
use super::load::plan::{Exchange, Latency, Report, Until};

/// Asks for these in turn, by connections that are kept, and says what came of it. Exchanges have one step each.
pub(crate) fn ask(
    cores: &Cores,
    directory: &Path,
    address: SocketAddr,
    connections: usize,
    exchanges: &[Exchange],
    until: Until,
) -> Report {
    let Until::Time { seconds, .. } = until else { panic!("wrk asks for a time") };
    let script = directory.join("wrk.lua");
    fs::write(&script, lua(exchanges)).expect("space on the disk");
    let mut command = cores.load("wrk");
    command.args(["-t1", "--latency", "-c", &connections.to_string(), "-d", &format!("{}s", seconds.ceil())]);
    command.arg("-s").arg(script).arg(format!("http://{address}/"));
    let output = command.output().expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !text.contains("Socket errors"), "{text}");
    let refused = text.lines().any(|line| line.contains("Non-2xx"));
    assert!(!refused || exchanges.iter().all(|exchange| exchange.steps[0].status >= 400), "{text}");
    read(&text).unwrap_or_else(|| panic!("{text}"))
}

/// The requests as a script, put together before they are sent.
fn lua(exchanges: &[Exchange]) -> String {
    let mut text = "local all, at = {}, 0\n".to_owned();
    for exchange in exchanges {
        let head = exchange.steps[0].head.replace('"', "\\\"").replace("\r\n", "\\r\\n");
        let _ = writeln!(text, "all[#all + 1] = \"{head}\"");
    }
    text + "request = function() at = at % #all + 1 return all[at] end\n"
}

/// What wrk prints, such as `99%    1.23ms`, `81234 requests in 3.00s, 1.2GB read`.
fn read(text: &str) -> Option<Report> {
    let percentile = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
        micros(line.trim())
    };
    let total = text.lines().find(|line| line.contains(" requests in "))?.trim();
    let (exchanges, rest) = total.split_once(" requests in ")?;
    let seconds = micros(rest.split(',').next()?)? / 1e6;
    let exchanges = exchanges.parse().ok()?;
    let (p50, p99) = (percentile("50%")?, percentile("99%")?);
    let latency = Some(Latency { p50, p99, max: p99 });
    let (bytes, cpu_seconds, threads) = (0, f64::NAN, 1);
    let (all_exchanges, all_bytes, all_seconds) = (exchanges, bytes, seconds);
    let answers = Vec::new();
    Some(Report {
        exchanges,
        bytes,
        seconds,
        latency,
        all_exchanges,
        all_bytes,
        cpu_seconds,
        threads,
        all_seconds,
        answers,
    })
}

/// A time such as `1.23ms`, in microseconds.
fn micros(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor = match &text[number.len()..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 6e7,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
