//! What the benchmarks share: a server process of the built binary, and sizes from the command line.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// For a server that is configured with a token, and with where its store is: the token.
pub(crate) const TOKEN_VARIABLE: &str = "LARDER_BENCH_TOKEN";
/// For a server that does nothing on its own.
pub(crate) const QUIET: (&str, &str) = ("LARDER__COLLECTOR__ENABLED", "false");
/// The binary that is measured.
pub(crate) const LARDER: &str = env!("CARGO_BIN_EXE_larder");

/// The binary behind `--larder`, or the one that is measured.
pub(crate) fn binary() -> String {
    argument("larder", LARDER)
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub url: String,
    pub token: String,
}

impl Server {
    /// Starts a server on a store, or on an empty directory, with these variables of its configuration set.
    pub(crate) fn start_with<V: AsRef<str>>(data: &Path, variables: &[(&str, V)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (*name, value.as_ref()));
        let own_token = variables.clone().find(|(name, _)| *name == TOKEN_VARIABLE).map(|(_, token)| token.to_owned());
        let mut child = Command::new(binary())
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .args(
                if own_token.is_some() { None } else { Some([OsStr::new("--data"), data.as_os_str()]) }
                    .into_iter()
                    .flatten(),
            )
            .env("LARDER__LOG__FILTER", "warn")
            .envs(variables)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the built binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut text = String::new();
        for line in stdout.lines() {
            text.push_str(&line.expect("stdout is text"));
            if text.ends_with('}') {
                break;
            }
        }
        let ready: serde_json::Value = serde_json::from_str(&text).expect("serve says where it listens");
        let url = ready["url"].as_str().expect("a url").to_owned();
        let made = || std::fs::read_to_string(data.join("admin.token")).expect("an admin token").trim().to_owned();
        let token = own_token.unwrap_or_else(made);
        Self { child, url, token }
    }

    /// A line of the kernel's status of the server, such as `VmHWM`, in KiB.
    pub(crate) fn status(&self, key: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a Linux /proc");
        let line = text.lines().find(|line| line.starts_with(key)).expect("the key is there");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of kB")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value behind `--NAME`, or a default. Other arguments are cargo's.
pub(crate) fn argument(name: &str, default: &str) -> String {
    let mut arguments = std::env::args();
    arguments.find(|argument| argument == &format!("--{name}")).and_then(|_| arguments.next()).unwrap_or(default.into())
}

/// A size such as `1GiB`.
pub(crate) fn size_argument(name: &str, default: &str) -> u64 {
    argument(name, default).parse::<bytesize::ByteSize>().expect("a size such as 1GiB").as_u64()
}

/// An empty directory below cargo's target directory, removed at the end; on the disk that is measured.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::TempDir::new_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).expect("a directory to work in")
}
