//! What was measured: samples of each load at each peer, their medians, and how Larder compares.

use serde_json::{Value, json};

use super::load::plan::Report;
use super::options::{Set, Sizes, size};
use super::process::{Process, carry_out};
use super::servers::Kind;
use super::{cores::Cores, load::plan::Plan};

/// Everything that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    GetLarge,
    GetSmall,
    GetRange,
    GetMany,
    HeadBlob,
    HeadTag,
    GetManifest,
    NotModified,
    GetRef,
    PutHuge,
    PutMany,
    PublishRelease,
    PublishTree,
    PublishBesideReads,
    PushImage,
    PullImage,
    StartAndAnswer,
    StartAndRead,
    SitePage1,
    SitePage10,
    SiteCoded,
    SiteUnchanged,
    SiteMissing,
    SiteMany,
    /// The page of 10 KiB, while the site is published every second.
    SiteBesidePublishes,
    /// The same page of a site of a hundred files.
    LittleBesidePublishes,
    PublishSite,
    /// The same site with one change.
    PublishSiteAgain,
}

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    MebibytesPerSecond,
    PerSecond,
    Seconds,
    Milliseconds,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MebibytesPerSecond => "MiB/s",
            Self::PerSecond => "/s",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Self::MebibytesPerSecond | Self::PerSecond)
    }
}

impl Work {
    pub(crate) const ALL: [Self; 27] = [
        Self::GetLarge,
        Self::GetSmall,
        Self::GetRange,
        Self::GetMany,
        Self::HeadBlob,
        Self::HeadTag,
        Self::GetManifest,
        Self::NotModified,
        Self::GetRef,
        Self::PutHuge,
        Self::PutMany,
        Self::PublishRelease,
        Self::PublishTree,
        Self::PublishBesideReads,
        Self::PushImage,
        Self::PullImage,
        Self::StartAndAnswer,
        Self::StartAndRead,
        Self::SitePage1,
        Self::SitePage10,
        Self::SiteCoded,
        Self::SiteUnchanged,
        Self::SiteMissing,
        Self::SiteMany,
        Self::SiteBesidePublishes,
        Self::LittleBesidePublishes,
        Self::PublishSite,
    ];
    /// Those that read a site and are answered the same by nginx.
    pub(crate) const SITE_READS: [Self; 6] =
        [Self::SitePage1, Self::SitePage10, Self::SiteCoded, Self::SiteUnchanged, Self::SiteMissing, Self::SiteMany];
    /// Those that only read.
    pub(crate) const READS: [Self; 9] = [
        Self::GetLarge,
        Self::GetSmall,
        Self::GetRange,
        Self::GetMany,
        Self::HeadBlob,
        Self::HeadTag,
        Self::GetManifest,
        Self::NotModified,
        Self::GetRef,
    ];

    /// Whether it is done at the servers of a site.
    pub(crate) fn is_of_sites(self) -> bool {
        Self::SITE_READS.contains(&self)
            || matches!(
                self,
                Self::SiteBesidePublishes | Self::LittleBesidePublishes | Self::PublishSite | Self::PublishSiteAgain
            )
    }

    pub(crate) fn name(self, sizes: &Sizes) -> String {
        let files = |set: &Set| format!("{} x {}", set.count, size(set.size));
        match self {
            Self::GetLarge => format!("GET blob {}", size(sizes.large)),
            Self::GetSmall => format!("GET blob {}", size(sizes.small)),
            Self::GetRange => format!("GET range {} of {}", size(sizes.range), size(sizes.huge)),
            Self::GetMany => format!("GET {} different blobs {}", sizes.many.count, size(sizes.many.size)),
            Self::HeadBlob => "HEAD blob".to_owned(),
            Self::HeadTag => "HEAD image by tag".to_owned(),
            Self::GetManifest => "GET manifest".to_owned(),
            Self::NotModified => "GET manifest, 304".to_owned(),
            Self::GetRef => "GET ref".to_owned(),
            Self::PutHuge => format!("PUT blob {}", size(sizes.huge)),
            Self::PutMany => format!("PUT blobs {}", files(&sizes.puts)),
            Self::PublishRelease => format!("publish {}", files(&sizes.release)),
            Self::PublishTree => format!("publish {}", files(&sizes.tree)),
            Self::PublishBesideReads => format!("publish {} beside reads", files(&sizes.release)),
            Self::PushImage => format!("push image {}", files(&sizes.image)),
            Self::PullImage => format!("pull image {}", files(&sizes.image)),
            Self::StartAndAnswer => format!("start, {} blobs, answer", sizes.blobs),
            Self::StartAndRead => format!("start, {} blobs, manifest", sizes.blobs),
            Self::SitePage1 => "site page 1 KiB".to_owned(),
            Self::SitePage10 => "site page 10 KiB".to_owned(),
            Self::SiteCoded => "site asset in gzip".to_owned(),
            Self::SiteUnchanged => "site 304".to_owned(),
            Self::SiteMissing => "site 404".to_owned(),
            Self::SiteMany => format!("site {} in turn", files(&sizes.site)),
            Self::SiteBesidePublishes => "site page 10 KiB beside publishes".to_owned(),
            Self::LittleBesidePublishes => "little site beside publishes".to_owned(),
            Self::PublishSite => format!("publish site {}", files(&sizes.site)),
            Self::PublishSiteAgain => "publish site with one change".to_owned(),
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::GetLarge | Self::GetRange | Self::PutHuge => Unit::MebibytesPerSecond,
            Self::PublishRelease
            | Self::PublishTree
            | Self::PublishBesideReads
            | Self::PushImage
            | Self::PullImage
            | Self::PublishSite
            | Self::PublishSiteAgain => Unit::Seconds,
            Self::StartAndAnswer | Self::StartAndRead => Unit::Milliseconds,
            _ => Unit::PerSecond,
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// In the unit of its load.
    pub value: f64,
    /// Latencies in microseconds.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    /// CPU time of the server, in seconds of one core for a GiB of bodies.
    pub cpu_per_gib: Option<f64>,
    /// CPU time of the server, in microseconds for a request, or for all the requests of an upload.
    pub cpu_per_request: Option<f64>,
    /// Highest resident memory of the server, in MiB.
    pub memory: Option<f64>,
    /// Share of the load generator's cores that it used. Near 1, it is what was measured.
    pub client: Option<f64>,
}

impl Sample {
    /// A value alone.
    pub(crate) fn of(value: f64) -> Self {
        Self { value, ..Self::default() }
    }
}

/// What a server took while something was done.
pub(crate) struct Cost {
    cpu: f64,
    memory: f64,
}

impl Cost {
    /// Does something and looks at what the server takes meanwhile.
    pub(crate) fn measure<T>(server: &Process, work: impl FnOnce() -> T) -> (T, Self) {
        server.forget_memory();
        let before = server.cpu_seconds();
        let result = work();
        let cpu = server.cpu_seconds() - before;
        let memory = server.memory() as f64 / 1024.0;
        server.settle();
        (result, Self { cpu, memory })
    }

    /// A sample with this cost, which so many bytes and requests had.
    pub(crate) fn sample(&self, value: f64, bytes: u64, requests: u64) -> Sample {
        let per = |number: f64| (number > 0.0).then(|| self.cpu / number);
        Sample {
            value,
            cpu_per_gib: per(bytes as f64 / f64::from(1 << 30)),
            cpu_per_request: per(requests as f64).map(|seconds| seconds * 1e6),
            memory: Some(self.memory),
            ..Sample::default()
        }
    }
}

/// Carries out a plan at a server and measures it.
pub(crate) fn measure(work: Work, server: &Process, cores: &Cores, plan: &Plan) -> Sample {
    let (report, cost) = Cost::measure(server, || carry_out(cores, plan));
    measured(work, &report, &cost)
}

/// The sample that a report of a load generator is.
pub(crate) fn measured(work: Work, report: &Report, cost: &Cost) -> Sample {
    let value = match work.unit() {
        Unit::MebibytesPerSecond => report.bytes as f64 / f64::from(1 << 20) / report.seconds,
        Unit::PerSecond => report.exchanges as f64 / report.seconds,
        Unit::Seconds => report.seconds,
        Unit::Milliseconds => report.seconds * 1e3,
    };
    with_latency(cost.sample(value, report.all_bytes, report.all_exchanges), report)
}

/// A sample with the latencies that the load generator saw.
pub(crate) fn with_latency(sample: Sample, report: &Report) -> Sample {
    Sample {
        p50: report.latency.map(|latency| latency.p50),
        p99: report.latency.map(|latency| latency.p99),
        client: Some(report.cpu_seconds / report.all_seconds / report.threads as f64).filter(|share| share.is_finite()),
        ..sample
    }
}

/// Who did the work: a server, or the machine alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Peer(Kind),
    /// A part of the work without any server, which bounds what one can do.
    Floor(&'static str),
}

impl Who {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Peer(kind) => kind.name(),
            Self::Floor(name) => name,
        }
    }
}

/// A load at a peer.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub work: Work,
    /// None where one program does the work.
    pub connections: Option<usize>,
    pub who: Who,
    pub samples: Vec<Sample>,
}

/// The median of values, if there are any.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (middle, many) = (values.len() / 2, values.len());
    match many {
        0 => None,
        _ if many % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

impl Row {
    /// The median of one figure, of the samples that have it.
    pub(crate) fn median(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        median(self.samples.iter().filter_map(of).collect())
    }

    pub(crate) fn value(&self) -> f64 {
        self.median(|sample| Some(sample.value)).unwrap_or(f64::NAN)
    }

    /// The CPU time that means most for the load, and its unit.
    pub(crate) fn cpu(&self) -> Option<(f64, &'static str)> {
        let by_bytes = matches!(self.work.unit(), Unit::MebibytesPerSecond)
            || matches!(self.work, Work::PublishRelease | Work::PublishBesideReads | Work::PushImage | Work::PullImage);
        if by_bytes {
            return Some((self.median(|sample| sample.cpu_per_gib)?, "s/GiB"));
        }
        Some((self.median(|sample| sample.cpu_per_request)?, "us/req"))
    }
}

/// All rows, in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub rows: Vec<Row>,
}

impl Results {
    pub(crate) fn add(&mut self, work: Work, connections: Option<usize>, who: Who, sample: Sample) {
        let same = |row: &&mut Row| (row.work, row.connections, row.who) == (work, connections, who);
        match self.rows.iter_mut().find(same) {
            Some(row) => row.samples.push(sample),
            None => self.rows.push(Row { work, connections, who, samples: vec![sample] }),
        }
    }

    /// The row of a peer.
    pub(crate) fn row(&self, work: Work, connections: Option<usize>, who: Who) -> Option<&Row> {
        self.rows.iter().find(|row| (row.work, row.connections, row.who) == (work, connections, who))
    }

    /// Larder's row for the same work.
    pub(crate) fn ours(&self, row: &Row) -> Option<&Row> {
        self.row(row.work, row.connections, Who::Peer(Kind::Larder))
    }

    /// How often as good as `theirs` Larder is: more than 1 is better.
    pub(crate) fn ratio(&self, theirs: &Row) -> Option<f64> {
        let (ours, theirs_value) = (self.ours(theirs)?.value(), theirs.value());
        let ratio = if theirs.work.unit().more_is_better() { ours / theirs_value } else { theirs_value / ours };
        // A run that is too short for one request says nothing.
        Some(ratio).filter(|ratio| ratio.is_finite())
    }

    /// The same, of the best of the peers.
    pub(crate) fn ratio_to_best(&self, work: Work, connections: Option<usize>) -> Option<(f64, Kind)> {
        let others = self.rows.iter().filter(|row| (row.work, row.connections) == (work, connections));
        let ratios = others.filter_map(|row| match row.who {
            // What the engine writes goes to memory.
            Who::Peer(Kind::Engine) if work == Work::PutHuge => None,
            Who::Peer(kind) if kind != Kind::Larder => Some((self.ratio(row)?, kind)),
            _ => None,
        });
        ratios.min_by(|one, other| one.0.total_cmp(&other.0))
    }

    /// Everything, for programs.
    pub(crate) fn json(&self, sizes: &Sizes) -> Value {
        let row = |row: &Row| {
            json!({
                "load": row.work.name(sizes), "connections": row.connections, "peer": row.who.name(),
                "is_floor": matches!(row.who, Who::Floor(_)), "unit": row.work.unit().name(), "median": row.value(),
                "values": row.samples.iter().map(|sample| sample.value).collect::<Vec<_>>(),
                "p50_us": row.median(|sample| sample.p50), "p99_us": row.median(|sample| sample.p99),
                "cpu_s_per_gib": row.median(|sample| sample.cpu_per_gib),
                "cpu_us_per_request": row.median(|sample| sample.cpu_per_request),
                "resident_mib": row.median(|sample| sample.memory),
                "load_generator_share": row.median(|sample| sample.client),
                "larder_is_better_by": self.ratio(row),
            })
        };
        self.rows.iter().map(row).collect()
    }
}
