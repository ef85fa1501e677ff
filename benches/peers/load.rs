//! The load generator: a process of its own, so that its CPU time is not the servers' and it can be kept off their
//! cores.
//!
//! It reads a plan, makes its requests on connections that it keeps, one request under way on each, and writes a
//! report. It must never be what is measured: requests are prepared, bodies go into one buffer and are dropped, each
//! thread waits for all of its sockets at once, and one that has a single connection does not even wait. An answer that
//! is not what the plan says ends the run.

#[path = "load/connection.rs"]
mod connection;
#[path = "load/pattern.rs"]
pub(crate) mod pattern;
#[path = "load/plan.rs"]
pub(crate) mod plan;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use connection::Connection;
use pattern::Pattern;
use plan::{Answer, Latency, Plan, Report, Until};

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;
/// Longest pause of a server.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often one looks whether the end was told.
const LOOK: Duration = Duration::from_millis(20);
/// Highest latency that is told apart, in nanoseconds.
const HIGHEST: u64 = 600_000_000_000;

/// Does what the plan on standard input says.
pub(crate) fn run() -> String {
    let mut line = String::new();
    io::stdin().read_line(&mut line).expect("a plan on standard input");
    let plan: Plan = serde_json::from_str(&line).expect("a plan in JSON");
    let told = AtomicBool::new(false);
    let report = thread::scope(|scope| {
        if matches!(plan.until, Until::Told) {
            scope.spawn(|| {
                let _ = io::stdin().read_to_end(&mut Vec::new());
                told.store(true, Ordering::Relaxed);
            });
        }
        drive(&plan, &told).unwrap_or_else(|error| panic!("{}: {error}", plan.address))
    });
    serde_json::to_string(&report).expect("a report is JSON")
}

/// What the threads of a run share.
struct Run<'a> {
    plan: &'a Plan,
    pattern: Pattern,
    told: &'a AtomicBool,
    /// Where threads meet when they are prepared.
    ready: Barrier,
    clock: OnceLock<Clock>,
    /// The next exchange, where each is made once.
    next: AtomicUsize,
}

/// When things happen.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: Instant,
    /// When the time that counts begins.
    counting: Instant,
    /// When it ends.
    end: Option<Instant>,
}

impl Clock {
    fn start(until: Until) -> Self {
        let start = Instant::now();
        let Until::Time { warm_up, seconds } = until else { return Self { start, counting: start, end: None } };
        let counting = start + Duration::from_secs_f64(warm_up);
        Self { start, counting, end: Some(counting + Duration::from_secs_f64(seconds)) }
    }
}

/// What a thread has counted.
struct Counts {
    latencies: Histogram<u64>,
    exchanges: u64,
    all_exchanges: u64,
    bytes: u64,
    all_bytes: u64,
    ended: Instant,
    answers: Vec<Answer>,
}

fn drive(plan: &Plan, told: &AtomicBool) -> io::Result<Report> {
    let threads = available_parallelism()?.get().min(plan.connections).max(1);
    let mut shares: Vec<Vec<TcpStream>> = (0..threads).map(|_| Vec::new()).collect();
    for at in 0..plan.connections {
        shares[at % threads].push(connect(plan.address)?);
    }
    let (pattern, ready) = (Pattern::new(), Barrier::new(threads));
    let run = Run { plan, pattern, told, ready, clock: OnceLock::new(), next: AtomicUsize::new(0) };
    let counts: Vec<Counts> = thread::scope(|scope| {
        let workers: Vec<_> = shares.into_iter().map(|share| scope.spawn(|| work(&run, share))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect::<io::Result<_>>()
    })?;
    Ok(summary(*run.clock.get().expect("it was started"), counts))
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn summary(clock: Clock, counts: Vec<Counts>) -> Report {
    let mut latencies = counts[0].latencies.clone();
    counts[1..].iter().for_each(|more| latencies.add(&more.latencies).expect("histograms of one kind"));
    let ended = counts.iter().map(|counts| counts.ended).max().expect("a thread");
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum();
    Report {
        exchanges: sum(|counts| counts.exchanges),
        bytes: sum(|counts| counts.bytes),
        seconds: (clock.end.unwrap_or(ended) - clock.counting).as_secs_f64(),
        latency: (!latencies.is_empty()).then(|| Latency {
            p50: micros(latencies.value_at_quantile(0.5)),
            p99: micros(latencies.value_at_quantile(0.99)),
            max: micros(latencies.max()),
        }),
        all_exchanges: sum(|counts| counts.all_exchanges),
        all_bytes: sum(|counts| counts.all_bytes),
        cpu_seconds: super::process::cpu_seconds(std::process::id()),
        threads: counts.len(),
        all_seconds: (ended - clock.start).as_secs_f64(),
        answers: counts.into_iter().flat_map(|counts| counts.answers).collect(),
    }
}

/// A thread's part of a run.
fn work(run: &Run<'_>, share: Vec<TcpStream>) -> io::Result<Counts> {
    let now = Instant::now();
    let counts = Counts {
        latencies: Histogram::new_with_bounds(1, HIGHEST, 3).expect("sound bounds"),
        exchanges: 0,
        all_exchanges: 0,
        bytes: 0,
        all_bytes: 0,
        ended: now,
        answers: Vec::new(),
    };
    let buffer = vec![0; BUFFER];
    run.ready.wait();
    let clock = *run.clock.get_or_init(|| Clock::start(run.plan.until));
    let worker = Worker { run, clock, buffer, counts, bytes_before: clock.end.is_none().then_some(0), now };
    if let [_] = share[..] { worker.work_alone(share) } else { worker.work_many(share) }
}

struct Worker<'a> {
    run: &'a Run<'a>,
    clock: Clock,
    buffer: Vec<u8>,
    counts: Counts,
    /// Bytes of this thread before the time that counts.
    bytes_before: Option<u64>,
    now: Instant,
}

/// A connection and what it is about.
struct Place<'a, S> {
    connection: Connection<'a, S>,
    /// The exchange that comes next, where they are made in turn.
    next: usize,
    began: Instant,
    busy: bool,
}

impl<'a> Worker<'a> {
    /// One connection, on a socket that blocks: nothing to wait for but the answer.
    fn work_alone(mut self, share: Vec<TcpStream>) -> io::Result<Counts> {
        let mut places = self.places(share);
        self.start(&mut places[0])?;
        while places[0].busy && !self.is_over(&places) {
            self.advance(&mut places[0])?;
            self.now = Instant::now();
        }
        Ok(self.finish(places))
    }

    /// Many connections, on sockets that do not block.
    fn work_many(mut self, share: Vec<TcpStream>) -> io::Result<Counts> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(share.len());
        let streams = share.into_iter().map(|stream| {
            stream.set_nonblocking(true)?;
            Ok(mio::net::TcpStream::from_std(stream))
        });
        let streams: Vec<_> = streams.collect::<io::Result<_>>()?;
        let mut places = self.places(streams);
        for (at, place) in places.iter_mut().enumerate() {
            let stream = place.connection.stream();
            poll.registry().register(stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
            self.start(place)?;
        }
        let mut last = Instant::now();
        while places.iter().any(|place| place.busy) && !self.is_over(&places) {
            poll.poll(&mut events, Some(LOOK))?;
            self.now = Instant::now();
            if !events.is_empty() {
                last = self.now;
            }
            if self.now - last > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            for event in &events {
                let place = &mut places[event.token().0];
                if event.is_writable() {
                    place.connection.write()?;
                }
                if event.is_readable() && place.busy {
                    self.advance(place)?;
                }
            }
        }
        Ok(self.finish(places))
    }

    fn places<S: Read + Write + AsFd>(&self, streams: Vec<S>) -> Vec<Place<'a, S>> {
        let many = self.run.plan.exchanges.len();
        // Connections begin at different exchanges.
        let place = |(at, stream)| Place {
            connection: Connection::new(stream, &self.run.pattern, self.run.plan.bodies),
            next: at * 7 % many,
            began: self.now,
            busy: false,
        };
        streams.into_iter().enumerate().map(place).collect()
    }

    /// Begins the next exchange, if there is one.
    fn start<S: Read + Write + AsFd>(&self, place: &mut Place<'a, S>) -> io::Result<()> {
        let exchanges = &self.run.plan.exchanges;
        let at = if let Until::Done = self.run.plan.until {
            self.run.next.fetch_add(1, Ordering::Relaxed)
        } else {
            place.next += 1;
            (place.next - 1) % exchanges.len()
        };
        place.busy = at < exchanges.len();
        if place.busy {
            place.began = Instant::now();
            place.connection.begin(&exchanges[at])?;
        }
        Ok(())
    }

    fn advance<S: Read + Write + AsFd>(&mut self, place: &mut Place<'a, S>) -> io::Result<()> {
        if !place.connection.read(&mut self.buffer)? {
            return Ok(());
        }
        let now = Instant::now();
        self.counts.all_exchanges += 1;
        if now >= self.clock.counting && self.clock.end.is_none_or(|end| now <= end) {
            self.counts.exchanges += 1;
            let nanos = u64::try_from((now - place.began).as_nanos()).unwrap_or(HIGHEST).clamp(1, HIGHEST);
            self.counts.latencies.record(nanos).expect("a value within the bounds");
        }
        self.start(place)
    }

    fn is_over<S>(&mut self, places: &[Place<'_, S>]) -> bool {
        if self.bytes_before.is_none() && self.now >= self.clock.counting {
            self.bytes_before = Some(places.iter().map(|place| place.connection.bytes).sum());
        }
        self.clock.end.is_some_and(|end| self.now >= end) || self.run.told.load(Ordering::Relaxed)
    }

    fn finish<S: Read + Write + AsFd>(mut self, places: Vec<Place<'_, S>>) -> Counts {
        self.counts.ended = Instant::now();
        self.counts.all_bytes = places.iter().map(|place| place.connection.bytes).sum();
        self.counts.bytes = self.counts.all_bytes - self.bytes_before.unwrap_or(0);
        self.counts.answers = places.into_iter().flat_map(|place| place.connection.answers()).collect();
        self.counts
    }
}
