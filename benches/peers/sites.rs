//! Sites: a release of 10,000 files under a host of its own, beside nginx with `gzip_static` on the same directory, and
//! Caddy with `precompressed gzip`, if it is installed.
//!
//! The servers are processes of their own, so that hosts of sites cost the other loads nothing. With `--wrk`, the loads
//! that read are made by the program `wrk`, which takes answers apart as real clients do.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use rustix::process::setpriority_process;

use super::cores::Cores;
use super::fixtures::Maker;
use super::install::Programs;
use super::load::plan::{Bodies, Body, Exchange, Plan, Step, Until};
use super::options::{Set, Sizes};
use super::process::{carry_out, run, settle_disk};
use super::results::{Cost, Results, Sample, Who, Work, measure, measured};
use super::servers::{Kind, Peer};
use super::support::LARDER;
use super::writes::{HASH_AND_WRITE, Pass, Writes};
use super::wrk;

/// The same server while nobody publishes.
pub(crate) const WITHOUT_PUBLISHES: Who = Who::Floor("(without publishes)");
/// The host of the site, and its name.
const HOST: &str = "site.test";
const NAME: &str = "bench/site";
/// The same of a site of a hundred files.
const LITTLE_HOST: &str = "little.test";
const LITTLE_NAME: &str = "bench/little";
const LITTLE: usize = 100;
/// What a request for the compressed file states.
const GZIP: &str = "gzip, br";
/// Different paths at which there is nothing.
const MISSING: usize = 64;
/// Time between two publishes beside reads.
const EVERY: Duration = Duration::from_secs(1);

/// The configuration of Larder, beside what the command line says.
const CONFIGURATION: &str = "[server]\napi_hosts = [\"127.0.0.1\"]\n\
     [[sites]]\nid = \"bench\"\nhosts = [\"site.test\"]\nname = \"bench/site\"\n\
     [[sites]]\nid = \"little\"\nhosts = [\"little.test\"]\nname = \"bench/little\"\n";
/// What nginx is told beside what it is told for the other loads.
const DIRECTIVES: &str = "gzip_static on; index index.html; error_page 404 /404.html; etag on;\n\
     types { text/html html; text/javascript js; image/png png; }\n";
/// What Caddy is told, beside which directory.
const CADDYFILE: &str = "{\n admin off\n auto_https off\n log {\n output discard\n }\n}\n\
     :{$PORT} {\n bind 127.0.0.1\n file_server {\n precompressed gzip\n }\n\
     handle_errors {\n rewrite * /404.html\n file_server\n }\n";

/// A site, and the servers that have it.
pub(crate) struct Sites<'a> {
    cores: &'a Cores,
    sizes: Sizes,
    directory: &'a Path,
    bodies: Bodies,
    by_wrk: bool,
    /// The files of the site.
    files: PathBuf,
    /// The paths of all files but the pages.
    many: Vec<String>,
    peers: Vec<Peer>,
}

impl<'a> Sites<'a> {
    /// Makes the site, starts the servers, and makes sure that they answer the same bytes.
    pub(crate) fn start(
        programs: &Programs,
        cores: &'a Cores,
        sizes: Sizes,
        directory: &'a Path,
        maker: &mut Maker,
    ) -> Self {
        let files = directory.join("site-nginx/files");
        let many = make_site(&files, sizes.site, maker);
        let kinds = [Kind::Larder, Kind::Nginx].into_iter().chain(programs.caddy.iter().map(|_| Kind::Caddy));
        let start = |kind: Kind| {
            let root = directory.join(format!("site-{}", kind.name()));
            fs::create_dir_all(&root).expect("a directory");
            let (name, configuration) = match kind {
                Kind::Larder => ("larder.toml", CONFIGURATION.to_owned()),
                Kind::Nginx => ("site.conf", DIRECTIVES.to_owned()),
                _ => ("Caddyfile", format!("{CADDYFILE} root * {}\n}}\n", files.display())),
            };
            fs::write(root.join(name), configuration).expect("a configuration");
            Peer::start(kind, programs, cores, &root)
        };
        let (bodies, by_wrk, peers) = (Bodies::Drop, false, kinds.map(start).collect());
        let started = Self { cores, sizes, directory, bodies, by_wrk, files, many, peers };
        started.publish(NAME, &started.files);
        started.publish(LITTLE_NAME, &make_little(directory, &started.files));
        started.prove();
        settle_disk(directory);
        started
    }

    /// How the loads are made.
    pub(crate) fn with(self, bodies: Bodies, by_wrk: bool) -> Self {
        Self { bodies, by_wrk, ..self }
    }

    /// The command that people use. Returns the seconds.
    fn publish(&self, name: &str, files: &Path) -> f64 {
        let peer = &self.peers[0];
        let mut command = self.cores.load(LARDER);
        command.args(["publish", name, "--kind", "static", "--compress", "gzip"]).arg(files);
        command.env("LARDER_SERVER", format!("http://{}", peer.address)).env("LARDER_TOKEN", &peer.token);
        command.env("XDG_CACHE_HOME", self.directory.join("cache"));
        let since = Instant::now();
        run(&mut command);
        since.elapsed().as_secs_f64()
    }

    /// Asks all servers for everything and compares the answers.
    fn prove(&self) {
        for work in Work::SITE_READS {
            let answers = |peer: &Peer| -> Vec<_> {
                let mut plan = Plan::once(peer.address, 1, self.exchanges(work, peer));
                plan.bodies = Bodies::Keep;
                let answers = carry_out(self.cores, &plan).answers;
                answers.into_iter().map(|answer| (answer.status, answer.digest)).collect()
            };
            let ours = answers(&self.peers[0]);
            for peer in &self.peers[1..] {
                assert!(answers(peer) == ours, "{work:?}: {} answers otherwise", peer.kind.name());
            }
        }
    }

    /// One round of a load that reads.
    pub(crate) fn read(&self, work: Work, connections: usize, until: Until, results: &mut Results) {
        let moving = match work {
            Work::SiteBesidePublishes => Some(NAME),
            Work::LittleBesidePublishes => Some(LITTLE_NAME),
            _ => None,
        };
        for peer in self.peers.iter().filter(|peer| moving.is_none() || peer.kind == Kind::Larder) {
            let publishes = moving.map(|name| {
                // Right before, because a machine that others share is another one minutes later.
                results.add(work, Some(connections), WITHOUT_PUBLISHES, self.ask(work, connections, until, peer));
                Publishes::start(peer, name)
            });
            let sample = self.ask(work, connections, until, peer);
            if let Some(publishes) = publishes {
                eprintln!("  {} publishes meanwhile", publishes.finish());
            }
            results.add(work, Some(connections), Who::Peer(peer.kind), sample);
        }
    }

    fn ask(&self, work: Work, connections: usize, until: Until, peer: &Peer) -> Sample {
        let exchanges = self.exchanges(work, peer);
        if self.by_wrk {
            let (report, cost) = Cost::measure(&peer.process, || {
                wrk::ask(self.cores, self.directory, peer.address, connections, &exchanges, until)
            });
            return measured(work, &report, &cost);
        }
        let plan = Plan { address: peer.address, connections, exchanges, until, bodies: self.bodies };
        measure(work, &peer.process, self.cores, &plan)
    }

    /// One round of the loads that publish: a site that is new, and the same with one change.
    pub(crate) fn publishes(&self, maker: &mut Maker, results: &mut Results) {
        let files = self.directory.join("new-site");
        let blobs = maker.blobs(self.sizes.site);
        for (at, blob) in blobs.iter().enumerate() {
            let path = files.join(if at == 0 { "index.html".to_owned() } else { many(at) });
            fs::create_dir_all(path.parent().expect("below the site")).expect("a directory");
            maker.write(blob, &mut fs::File::create_new(path).expect("a new file"));
        }
        let floor = Writes { cores: self.cores, sizes: self.sizes, directory: self.directory, peers: &[] };
        let floor = floor.floor(&blobs, Pass { hash: true, write: true });
        results.add(Work::PublishSite, None, HASH_AND_WRITE, Sample::of(floor));
        let name = format!("bench/new-{}", &blobs[0].digest.hex()[..16]);
        for work in [Work::PublishSite, Work::PublishSiteAgain] {
            settle_disk(self.directory);
            if work == Work::PublishSiteAgain {
                fs::write(files.join("index.html"), blobs[1].digest.hex()).expect("space on the disk");
            }
            let (seconds, cost) = Cost::measure(&self.peers[0].process, || self.publish(&name, &files));
            results.add(work, None, Who::Peer(Kind::Larder), cost.sample(seconds, 0, blobs.len() as u64));
        }
        fs::remove_dir_all(files).expect("a directory to remove");
    }

    fn exchanges(&self, work: Work, peer: &Peer) -> Vec<Exchange> {
        let host = if work == Work::LittleBesidePublishes { LITTLE_HOST } else { HOST };
        let get = |path: &str, fields: &str, status| {
            let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n");
            Exchange::from(Step { head, body: Body::Empty, status, length: None })
        };
        match work {
            Work::SitePage1 => vec![get("/small/", "", 200)],
            Work::SitePage10 | Work::SiteBesidePublishes | Work::LittleBesidePublishes => vec![get("/", "", 200)],
            Work::SiteCoded => vec![get("/assets/app-CjL4fkWS.js", &format!("accept-encoding: {GZIP}\r\n"), 200)],
            Work::SiteUnchanged => {
                let mut plan = Plan::once(peer.address, 1, vec![get("/", "", 200)]);
                plan.bodies = Bodies::Keep;
                let tag = carry_out(self.cores, &plan).answers[0].headers["etag"].clone();
                vec![get("/", &format!("if-none-match: {tag}\r\n"), 304)]
            }
            Work::SiteMissing => (0..MISSING).map(|at| get(&format!("/none/{at}.png"), "", 404)).collect(),
            Work::SiteMany => self.many.iter().map(|path| get(path, "", 200)).collect(),
            _ => panic!("{work:?} is no load of a site"),
        }
    }
}

/// Writes the files of a site and returns the paths of those that are many.
fn make_site(files: &Path, set: Set, maker: &mut Maker) -> Vec<String> {
    let page = |size: usize, title: &str| format!("<!doctype html><title>{title}</title>{:size$}", "");
    let line = |number: u32| format!("console.log({});\n", number * 7919 % 10007);
    let script = (0..2500).map(line).collect::<Vec<_>>().concat();
    for directory in ["small", "assets"] {
        fs::create_dir_all(files.join(directory)).expect("a directory");
    }
    let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
    zipped.write_all(script.as_bytes()).expect("memory");
    for (path, bytes) in [
        ("index.html", page(10_200, "start").into_bytes()),
        ("small/index.html", page(990, "small").into_bytes()),
        ("404.html", page(990, "nothing").into_bytes()),
        ("assets/app-CjL4fkWS.js", script.into_bytes()),
        ("assets/app-CjL4fkWS.js.gz", zipped.finish().expect("memory")),
    ] {
        fs::write(files.join(path), bytes).expect("space on the disk");
    }
    // With those above, and what is compressed of them.
    let blobs = maker.blobs(Set { count: set.count - 8, ..set });
    for (at, blob) in blobs.iter().enumerate() {
        let path = files.join(many(at));
        fs::create_dir_all(path.parent().expect("below the site")).expect("a directory");
        maker.write(blob, &mut fs::File::create_new(path).expect("a new file"));
    }
    (0..blobs.len()).map(|at| format!("/{}", many(at))).collect()
}

/// Copies some of the files, with the start page.
fn make_little(directory: &Path, files: &Path) -> PathBuf {
    let little = directory.join("little");
    for path in (1..LITTLE).map(many).chain(["index.html".to_owned()]) {
        let to = little.join(&path);
        fs::create_dir_all(to.parent().expect("below the site")).expect("a directory");
        // The smoke run has fewer.
        let _ = fs::copy(files.join(&path), to);
    }
    little
}

/// The path of one of many files, a hundred of them in a directory.
fn many(at: usize) -> String {
    format!("images/{:02}/{at:05}.png", at / 100)
}

/// Publishes of the site, by somebody who has uploaded everything before: one begins each second, or once the one before
/// has ended if that takes longer.
struct Publishes {
    stop: Sender<()>,
    thread: JoinHandle<usize>,
}

impl Publishes {
    fn start(peer: &Peer, name: &'static str) -> Self {
        let (stop, stopped) = channel();
        let (address, token) = (peer.address, peer.token.clone());
        let thread = thread::spawn(move || {
            // Who publishes is elsewhere: it takes no time of the load generator, whose core this is.
            setpriority_process(None, 19).expect("a thread may be nice");
            let manifest = ask(address, ("GET", name), &token, "").expect("the manifest");
            let mut document: serde_json::Value = serde_json::from_str(&manifest).expect("a manifest in JSON");
            let label = |number: i64| format!("main:{number:020}");
            document["version"] = label(0).into();
            // Made once: what the generator's core spends on it would be waiting to the clients beside it.
            let mut document = document.to_string();
            let at = document.find(&label(0)).expect("the label");
            let (mut published, mut due) = (0, Instant::now() + EVERY);
            while stopped.recv_timeout(due.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout)
            {
                due = Instant::now().max(due + EVERY);
                let next = label(jiff::Timestamp::now().as_microsecond());
                document.replace_range(at..at + next.len(), &next);
                ask(address, ("PUT", name), &token, &document).expect("a publish");
                published += 1;
            }
            published
        });
        Self { stop, thread }
    }

    /// Ends it, and returns how many there were.
    fn finish(self) -> usize {
        drop(self.stop);
        self.thread.join().expect("publishes that succeed")
    }
}

/// A request for the manifest of a name, and the body of the answer.
fn ask(address: SocketAddr, (method, name): (&str, &str), token: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let head = format!(
        "{method} /manifests/{name} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    assert!(line.contains(" 20"), "{method} of the manifest: {line}");
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line)?;
    }
    let mut text = String::new();
    answer.read_to_string(&mut text)?;
    Ok(text)
}
