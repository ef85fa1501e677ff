//! What the numbers were measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::cores::Cores;
use super::install::Programs;
use super::load::plan::Bodies;
use super::options::Options;

/// Everything that belongs to the numbers.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    lines: Vec<(&'static str, String)>,
}

impl Setting {
    pub(crate) fn find(options: &Options, cores: &Cores, programs: &Programs, directory: &Path) -> Self {
        let mut lines = vec![
            ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
            ("machine", machine()),
            ("file system", file_system(directory)),
            ("cores", cores.describe()),
            ("larder", format!("{} ({})", env!("CARGO_PKG_VERSION"), profile())),
            ("nginx", programs.nginx.version.clone()),
            ("docker-registry", programs.registry.version.clone()),
        ];
        lines.extend(programs.angos.iter().map(|angos| ("angos", angos.version.clone())));
        lines.extend(programs.caddy.iter().map(|caddy| ("caddy", caddy.version.clone())));
        if options.engine {
            let said = Command::new("radosgw").arg("--version").output().map(|output| output.stdout);
            let said = said.map(|text| String::from_utf8_lossy(&text).trim().to_owned());
            lines.push(("engine", said.unwrap_or_else(|_| "unknown".to_owned())));
        }
        if options.bodies == Bodies::Discard {
            lines.push(("bodies", "left in the kernel by the load generator".to_owned()));
        }
        let (rounds, seconds) = (options.rounds, options.seconds);
        lines.push((
            "rounds",
            format!("{rounds}, in turn; each read load for {seconds} s in each; medians of the rounds"),
        ));
        Self { lines }
    }

    /// One line for each.
    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|(name, value)| format!("{name:16} {value}\n")).collect::<Vec<_>>().concat()
    }

    /// Date and machine on one line.
    pub(crate) fn caption(&self) -> String {
        format!("{}; {}", self.lines[0].1, self.lines[1].1)
    }

    pub(crate) fn json(&self) -> Value {
        self.lines.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }
}

fn machine() -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let kibibytes: u64 =
        first("/proc/meminfo", "MemTotal").split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let threads = fs::read_to_string("/proc/cpuinfo").unwrap_or_default().matches("processor\t").count();
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy().into_owned();
    let model = first("/proc/cpuinfo", "model name");
    format!("{threads} x {model}, {} GiB of memory, Linux {release}", (kibibytes + (1 << 19)) >> 20)
}

fn file_system(directory: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let below = fields.filter(|fields| directory.starts_with(fields[1]));
    below
        .max_by_key(|fields| fields[1].len())
        .map_or_else(String::new, |fields| format!("{}, {}", fields[2], fields[3]))
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "not optimised: its figures mean nothing" } else { "optimised" }
}
