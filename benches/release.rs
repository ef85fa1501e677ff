//! Publishing and fetching, beside hashing the same bytes in the same run.
//!
//! `cargo bench --bench release` publishes and fetches one file of 1 GiB with the command line, several times in
//! turn with hashing that file, and prints medians and ratios. Then it publishes trees of 500 and 5,000 small files
//! and prints how much longer ten times the files take.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints what the wall clock says")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use larder::domain::Hasher;
use support::{LARDER, QUIET, Server, argument, directory, size_argument};

fn main() {
    let runs: usize = argument("runs", "3").parse().expect("a number of runs");
    let size = size_argument("size", "1GiB");
    let directory = directory();
    let server = Server::start_with(&directory.path().join("data"), &[QUIET]);
    large_file(&server, directory.path(), size, runs);
    many_files(&server, directory.path(), runs);
    println!("resident memory of the server: {} MiB at its highest", server.status("VmHWM") >> 10);
}

fn large_file(server: &Server, directory: &Path, size: u64, runs: usize) {
    let (mut hash, mut publish, mut fetch) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs {
        let file = directory.join("large");
        fill(&file, size, run as u64);
        hash.push(time(|| hash_file(&file)));
        publish.push(time(|| larder(server, directory, &["publish", "large", "large"])));
        fetch.push(time(|| larder(server, directory, &["fetch", "large", "--output", &format!("out{run}")])));
        fs::remove_dir_all(directory.join(format!("out{run}"))).expect("what was fetched");
    }
    let (hash, publish, fetch) = (median(hash), median(publish), median(fetch));
    println!("{} MiB file, medians of {runs} runs", size >> 20);
    println!("  hash     {hash:6.2} s");
    println!("  publish  {publish:6.2} s  {:5.2} x hash", publish / hash);
    println!("  fetch    {fetch:6.2} s  {:5.2} x hash", fetch / hash);
}

fn many_files(server: &Server, directory: &Path, runs: usize) {
    let mut medians = Vec::new();
    for count in [500_u64, 5000] {
        let mut times = Vec::new();
        for run in 0..runs {
            let tree = directory.join(format!("tree-{count}-{run}"));
            for at in 0..count {
                let folder = tree.join(format!("{}", at % 50));
                fs::create_dir_all(&folder).expect("a folder");
                fs::write(folder.join(format!("{at}.txt")), format!("{count} {run} {at}\n")).expect("a file");
            }
            let path = tree.to_str().expect("a path in UTF-8").to_owned();
            times.push(time(|| larder(server, directory, &["publish", "tree", &path])));
        }
        medians.push(median(times));
        println!("{count} small files: publish {:6.2} s", medians.last().expect("just pushed"));
    }
    println!("ten times the files take {:.1} times as long", medians[1] / medians[0]);
}

fn larder(server: &Server, directory: &Path, arguments: &[&str]) {
    let output = Command::new(LARDER)
        .args(arguments)
        .current_dir(directory)
        .env("LARDER_SERVER", &server.url)
        .env("LARDER_TOKEN", &server.token)
        .output()
        .expect("the built binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A file of pseudo-random bytes, on disk before it is measured.
fn fill(path: &Path, size: u64, seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut file = fs::File::create(path).expect("a file");
    let mut left = size;
    while left > 0 {
        let chunk: Vec<u8> = (0..(1 << 17))
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&chunk[..length]).expect("space on the disk");
        left -= length as u64;
    }
    file.sync_all().expect("a synced file");
}

fn hash_file(path: &Path) {
    let mut file = fs::File::open(path).expect("the file");
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 1 << 20]);
    loop {
        let length = file.read(&mut buffer).expect("a readable file");
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
    }
    std::hint::black_box(hasher.finish());
}

fn time(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
