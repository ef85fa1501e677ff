//! The goals that Larder has set itself, and whether a run meets them.

use super::results::{Results, Row, Who, Work, median};
use super::servers::Kind;
use super::sites::WITHOUT_PUBLISHES;
use super::writes::{HASH, HASH_AND_WRITE, WRITE};

const LARDER: Who = Who::Peer(Kind::Larder);
const NGINX: Who = Who::Peer(Kind::Nginx);
const REGISTRY: Who = Who::Peer(Kind::Registry);
/// Most resident memory, in MiB.
const MEMORY: f64 = 128.0;
/// Most milliseconds from a start to the first answer.
const START: f64 = 100.0;

/// A goal and what was reached.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub what: String,
    pub reached: f64,
    pub bound: f64,
    /// Whether more is better.
    pub at_least: bool,
}

impl Goal {
    pub(crate) fn is_met(&self) -> bool {
        if self.at_least { self.reached >= self.bound } else { self.reached <= self.bound }
    }

    /// On one line.
    pub(crate) fn line(&self) -> String {
        let (sign, verdict) = (if self.at_least { ">=" } else { "<=" }, if self.is_met() { "met" } else { "MISSED" });
        format!("{:78} {:8.2}   {sign} {:6.2}   {verdict}", self.what, self.reached, self.bound)
    }
}

/// Every goal that this run says something about.
pub(crate) fn goals(results: &Results, name: impl Fn(Work) -> String) -> Vec<Goal> {
    let mut found = Vec::new();
    for row in results.rows.iter().filter(|row| row.who == LARDER) {
        let (work, connections) = (row.work, row.connections);
        let at = connections.map_or_else(String::new, |count| format!(", {count} connections"));
        let title = format!("{}{at}", name(work));
        let mut add = |what: &str, reached: Option<f64>, bound: f64, at_least: bool| {
            let what = format!("{title}: {what}");
            found.extend(reached.map(|reached| Goal { what, reached, bound, at_least }));
        };
        let against = |who: Who| results.ratio(results.row(work, connections, who)?);
        match work {
            Work::GetLarge if connections == Some(16) => {
                add("rate, of the best", results.ratio_to_best(work, connections).map(|best| best.0), 1.0, true);
                add("CPU time of the best, of ours", cpu(results, work, connections), 1.0, true);
            }
            Work::GetSmall => {
                add("requests, of nginx", against(NGINX), 1.0, true);
                add("requests, of docker-registry", against(REGISTRY), 20.0, true);
            }
            Work::GetMany | Work::HeadBlob => add("requests, of nginx", against(NGINX), 1.0, true),
            Work::HeadTag => {
                add("requests, of nginx", against(NGINX), 1.0, true);
                add("requests, of docker-registry", against(REGISTRY), 10.0, true);
            }
            Work::PushImage => add("rate, of docker-registry", against(REGISTRY), 1.5, true),
            Work::PullImage => {
                add("rate, of docker-registry", against(REGISTRY), 1.0, true);
                add("CPU time of the best, of ours", cpu(results, work, connections), 1.0, true);
            }
            Work::GetManifest | Work::NotModified | Work::GetRef => {
                add("requests, of nginx", against(NGINX), 1.2, true);
                add("p99 of nginx, of ours", p99(results, work, connections), 1.2, true);
            }
            Work::PutHuge => {
                let slower = [HASH, WRITE].into_iter().filter_map(against).max_by(f64::total_cmp);
                add("rate, of the slower of hashing and writing", slower, 0.9, true);
                add("rate, of docker-registry", against(REGISTRY), 1.5, true);
            }
            Work::PutMany => add("requests, of docker-registry", against(REGISTRY), 2.0, true),
            Work::PublishRelease => {
                let times = against(HASH_AND_WRITE).map(|ratio| 1.0 / ratio);
                add("time, of hashing and writing the bytes once", times, 1.1, false);
            }
            work if work.is_of_sites() => found.extend(of_site(results, row, &title)),
            Work::StartAndAnswer | Work::StartAndRead => add("milliseconds", Some(row.value()), START, false),
            _ => {}
        }
    }
    found.extend(memory(results));
    found
}

/// The goal of a load of sites.
fn of_site(results: &Results, row: &Row, title: &str) -> Option<Goal> {
    let (work, connections) = (row.work, row.connections);
    let against = |who: Who| results.ratio(results.row(work, connections, who)?);
    let (what, reached, bound, at_least) = match work {
        Work::SiteBesidePublishes | Work::LittleBesidePublishes => {
            let without = &results.row(work, connections, WITHOUT_PUBLISHES)?.samples;
            let ratios = row.samples.iter().zip(without).filter_map(|(with, without)| Some(with.p99? / without.p99?));
            ("p99, of that without publishes", median(ratios.collect())?, 1.5, false)
        }
        Work::PublishSite => {
            ("time, of hashing and writing the bytes once", 1.0 / against(HASH_AND_WRITE)?, 1.5, false)
        }
        Work::PublishSiteAgain => {
            let first = results.row(Work::PublishSite, None, LARDER)?.value();
            ("time, of the first publish", row.value() / first, 0.1, false)
        }
        _ => ("requests, of nginx", against(NGINX)?, if connections == Some(16) { 1.0 } else { 0.9 }, true),
    };
    Some(Goal { what: format!("{title}: {what}"), reached, bound, at_least })
}

/// The most memory that Larder took in any load.
fn memory(results: &Results) -> Option<Goal> {
    let ours = results.rows.iter().filter(|row| row.who == LARDER);
    let reached = ours.filter_map(|row| row.median(|sample| sample.memory)).max_by(f64::total_cmp)?;
    Some(Goal { what: "all loads: resident MiB".to_owned(), reached, bound: MEMORY, at_least: false })
}

/// The least CPU time of a peer, divided by ours.
fn cpu(results: &Results, work: Work, connections: Option<usize>) -> Option<f64> {
    let time = |who| results.row(work, connections, who)?.median(|sample| sample.cpu_per_gib);
    let best = [NGINX, REGISTRY].into_iter().filter_map(time).min_by(f64::total_cmp)?;
    Some(best / time(LARDER)?)
}

fn p99(results: &Results, work: Work, connections: Option<usize>) -> Option<f64> {
    let time = |who| results.row(work, connections, who)?.median(|sample| sample.p99);
    Some(time(NGINX)? / time(LARDER)?)
}
