//! The built binary, as people and scripts run it: what it prints, how it exits, and what it survives.

mod access;
mod collect;
mod commands;
mod crash;
pub mod exchange;
pub mod fake;
mod fetch;
mod files;
mod guidance;
mod heal;
mod help;
mod identity;
mod import;
mod keyless;
mod memory;
mod parts;
mod pipeline;
mod publish;
mod publish_site;
mod publishing;
mod publishing_guide;
mod reload;
mod retries;
mod serve;
mod servers;
mod signals;
mod signed_publish;
mod signers;
mod signing;
mod site;
mod small_print;
mod soak;
mod store;
mod sums;
mod tables;
mod uploads;
mod waiting;

use std::fs;
use std::path::Path;

use larder::domain::Digest;
use tempfile::TempDir;

use crate::support::process::ServerProcess;

/// A new directory with these files.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// Bytes without a pattern, always the same ones for a seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).take(length.div_ceil(8)).flatten().take(length).collect()
}

/// A server whose collector does not run: it may come at any moment, changes the store, and calls damage an error.
fn quiet() -> ServerProcess {
    ServerProcess::after("export LARDER__COLLECTOR__ENABLED=false")
}

/// Publishes these files under a name; returns the receipt.
pub fn publish(server: &ServerProcess, name: &str, files: &[(&str, &[u8])]) -> serde_json::Value {
    let files = folder(files);
    server.larder(&format!("publish {name} . --json")).within(&files).ok().json()
}

/// The names of everything below a directory, hidden or not, sorted.
pub fn everything(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else {
                names.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}

/// Where a server keeps the bytes of a blob.
fn blob_path(server: &ServerProcess, bytes: &[u8]) -> std::path::PathBuf {
    let digest = Digest::of(bytes);
    let hex = digest.hex();
    server.data.join(format!("objects/blobs/sha256/{}/{}/{hex}.0", &hex[..2], &hex[2..4]))
}
