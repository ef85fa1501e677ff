//! What the command line says, and the sizes that follow from it.

use std::path::PathBuf;

use super::load::plan::Bodies;
use super::support::argument;

/// Options that are followed by a value.
const VALUES: [&str; 9] = ["angos", "blobs", "connections", "json", "only", "place", "rounds", "seconds", "svg"];
/// Options that stand alone; the last is cargo's.
const FLAGS: [&str; 6] = ["discard", "engine", "no-pin", "quick", "wrk", "bench"];
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What is measured, and how long.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub(crate) struct Options {
    /// A smoke run: small sizes, one short round.
    pub quick: bool,
    /// Whether servers and load generator have cores of their own.
    pub pin: bool,
    /// What the load generator does with what it reads.
    pub bodies: Bodies,
    /// Whether the sites are read by the program `wrk`.
    pub wrk: bool,
    /// Whether the S3 engine is a peer.
    pub engine: bool,
    /// The program of Angos.
    pub angos: Option<String>,
    pub rounds: usize,
    /// Length of each read load in each round.
    pub seconds: f64,
    pub connections: Vec<usize>,
    /// Parts of the names of the loads that are wanted, with commas between them.
    pub only: String,
    blobs: u64,
    pub json: Option<PathBuf>,
    pub svg: Option<PathBuf>,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read() -> Self {
        refuse_unknown();
        let quick = flag("quick");
        let given = |name| Some(argument(name, "")).filter(|value| !value.is_empty());
        let number = |text: &str| text.parse().expect("--connections takes numbers, with commas between them");
        let usual = |full: &'static str, small: &'static str| if quick { small } else { full };
        Self {
            quick,
            pin: !flag("no-pin"),
            bodies: if flag("discard") { Bodies::Discard } else { Bodies::Drop },
            wrk: flag("wrk"),
            engine: flag("engine"),
            angos: given("angos"),
            rounds: argument("rounds", usual("5", "1")).parse().expect("--rounds takes a number"),
            seconds: argument("seconds", usual("3", "0.1")).parse().expect("--seconds takes a number"),
            connections: argument("connections", usual("1,16,256", "1,16")).split(',').map(number).collect(),
            only: argument("only", ""),
            blobs: argument("blobs", usual("100000", "10000")).parse().expect("--blobs takes a number"),
            json: given("json").map(PathBuf::from),
            svg: given("svg").map(PathBuf::from),
        }
    }

    /// Whether a load of this name is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.split(',').any(|part| name.contains(part))
    }

    /// Sizes of everything.
    pub(crate) fn sizes(&self) -> Sizes {
        let full = Sizes {
            small: 64 * KIB,
            smalls: 64,
            large: 100 * MIB,
            huge: 1024 * MIB,
            range: MIB,
            puts: Set { count: 10_000, size: 16 * KIB },
            many: Set { count: 3000, size: 64 * KIB },
            image: Set { count: 5, size: 40 * MIB },
            release: Set { count: 6, size: 20 * MIB },
            tree: Set { count: 5000, size: 4 * KIB },
            site: Set { count: 10_000, size: 5 * KIB },
            blobs: self.blobs,
        };
        if !self.quick {
            return full;
        }
        Sizes {
            smalls: 8,
            large: MIB,
            huge: 8 * MIB,
            range: 64 * KIB,
            puts: Set { count: 100, ..full.puts },
            many: Set { count: 50, ..full.many },
            image: Set { size: MIB, ..full.image },
            release: Set { size: MIB, ..full.release },
            tree: Set { count: 50, ..full.tree },
            site: Set { count: 50, ..full.site },
            ..full
        }
    }
}

/// Whether an option stands on the command line.
pub(crate) fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == format!("--{name}"))
}

/// A run takes long enough to be sure of what was asked for.
fn refuse_unknown() {
    let known = |argument: &str| {
        let name = argument.trim_start_matches('-');
        VALUES.contains(&name) || FLAGS.contains(&name)
    };
    let wrong = std::env::args().skip(1).find(|argument| argument.starts_with("--") && !known(argument));
    assert_eq!(wrong, None, "an unknown option; there are --{} and --{}", VALUES.join(", --"), FLAGS.join(", --"));
}

/// Files of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set {
    pub count: usize,
    pub size: u64,
}

impl Set {
    /// Bytes of all.
    pub(crate) fn bytes(&self) -> u64 {
        self.count as u64 * self.size
    }
}

/// Sizes of everything, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub small: u64,
    /// How many of them are read in turn.
    pub smalls: usize,
    pub large: u64,
    pub huge: u64,
    pub range: u64,
    pub puts: Set,
    /// More blobs than are read again while they are open.
    pub many: Set,
    /// The layers of an image.
    pub image: Set,
    pub release: Set,
    pub tree: Set,
    /// The files of a site.
    pub site: Set,
    /// Blobs of the store that Larder is started on.
    pub blobs: u64,
}

/// A size as people say it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 => format!("{} GiB", bytes >> 30),
        _ if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    }
}
