//! The built binary as a process: commands that are run to their end, and servers that can be killed.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use tokio::time::Instant;

/// Longest time that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Writes a program that is run right away. A shell does that: as long as this process has a file open to write it, so
/// has whatever another test starts at that moment, and what is open to be written cannot be run ("text file busy").
pub fn write_program(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("make it");
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut shell = shell.spawn().expect("a shell");
    shell.stdin.take().expect("its input").write_all(content).expect("write to it");
    assert!(shell.wait().expect("it ends").success());
}

/// A port that nobody listens on, from below the range that the system gives to outgoing connections: a server that is
/// restarted finds it free again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// One run of `larder`, with an empty environment.
#[derive(Debug)]
pub struct Larder {
    command: Command,
    input: Vec<u8>,
}

/// `larder` with these arguments, which are separated by spaces.
pub fn larder(arguments: &str) -> Larder {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments.split_whitespace()).env_clear();
    Larder { command, input: Vec::new() }
}

impl Larder {
    /// One more argument, which may hold spaces.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in this directory.
    pub fn within(mut self, directory: &impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// What stdin holds; otherwise it is empty.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Starts without waiting.
    pub fn start(mut self) -> Running {
        let file = || tempfile::tempfile().unwrap();
        let (mut stdin, stdout, stderr) = (file(), file(), file());
        stdin.write_all(&self.input).and_then(|()| stdin.rewind()).unwrap();
        let shown = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        self.command.stdin(stdin).stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        Running { child: self.command.spawn().unwrap(), shown, stdout, stderr }
    }

    /// Runs to the end.
    #[track_caller]
    pub fn run(self) -> Output {
        self.start().wait()
    }

    /// Runs and asserts success.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.exits(0)
    }

    /// Runs and asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Output {
        let output = self.run();
        assert_eq!(output.code(), Some(code), "{output:#?}");
        output
    }
}

/// A command under way; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    shown: String,
    stdout: File,
    stderr: File,
}

impl Running {
    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        read_again(&self.stdout)
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let status = wait(&mut self.child, &self.shown);
        let arguments = self.shown.clone();
        Output { status, arguments, stdout: read_again(&self.stdout), stderr: read_again(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn wait(child: &mut Child, what: &dyn Debug) -> ExitStatus {
    let mut ended = None;
    until(&format!("the end of {what:?}"), || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended.unwrap()
}

/// Reads by position: the process that writes shares the file's offset with us.
fn read_again(file: &File) -> String {
    let mut text = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut text, 0).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    #[expect(dead_code, reason = "shown where a test fails")]
    pub arguments: String,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The exit code; `None` when a signal ended the process.
    pub fn code(&self) -> Option<i32> {
        assert!(!self.status.core_dumped(), "{self:#?}");
        self.status.code()
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// The error on stderr, as JSON. Nothing may be on stdout, and nothing else on stderr.
    #[track_caller]
    pub fn error(&self) -> Value {
        assert_eq!(self.stdout, "", "{self:#?}");
        let document: Value = serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error} in {self:#?}"));
        assert_eq!(document["error"]["exit_code"], self.code().unwrap(), "{self:#?}");
        document["error"].clone()
    }

    /// Asserts that stderr says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {self:#?}");
        self
    }
}

/// `larder serve` in a process of its own; killed when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    pub address: SocketAddr,
    pub data: PathBuf,
    /// What it printed when it was ready.
    pub announced: Value,
    /// Whether errors in the log are expected; otherwise they fail the test.
    pub may_log_errors: bool,
    shell: &'static str,
    options: String,
    child: Child,
    log: NamedTempFile,
    /// Only held, so that it is removed at the end.
    directory: Option<TempDir>,
}

impl ServerProcess {
    /// A server on a new directory.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server on a new directory, with further arguments.
    pub fn with(options: &str) -> Self {
        Self::launch_anew("", options)
    }

    /// A server on a new directory, started by a shell that did this before.
    pub fn after(shell: &'static str) -> Self {
        Self::launch_anew(shell, "")
    }

    fn launch_anew(shell: &'static str, options: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let mut server = Self::launch(&directory.path().join("data"), shell, options);
        server.directory = Some(directory);
        server
    }

    /// A server on this directory.
    pub fn on(data: &Path) -> Self {
        Self::launch(data, "", "")
    }

    /// A server on this directory, started by a shell that did this before.
    pub fn on_after(data: &Path, shell: &'static str) -> Self {
        Self::launch(data, shell, "")
    }

    fn launch(data: &Path, shell: &'static str, options: &str) -> Self {
        let log = NamedTempFile::new().unwrap();
        let (child, announced) = spawn(data, "127.0.0.1:0", shell, options, log.path());
        let url = announced["url"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        let (data, options) = (data.to_owned(), options.to_owned());
        Self { address, data, announced, may_log_errors: false, shell, options, child, log, directory: None }
    }

    /// A server on a new directory and a port that stays free while it is down.
    pub fn restartable() -> Self {
        let mut server = Self::start();
        server.kill();
        server.address.set_port(free_port());
        server.restart();
        server
    }

    /// Starts again, on the same directory and port.
    pub fn restart(&mut self) {
        self.kill();
        let address = self.address.to_string();
        (self.child, self.announced) = spawn(&self.data, &address, self.shell, &self.options, self.log.path());
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its memory that is not backed by files, in bytes.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child, &"the server")
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file of the admin token.
    pub fn token_file(&self) -> PathBuf {
        self.data.join("admin.token")
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.token_file()).unwrap().trim().to_owned()
    }

    /// Resident memory of the process, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// How many files and sockets the process has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Everything logged so far, by all its processes.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// A command that talks to this server, with its admin token.
    pub fn larder(&self, arguments: &str) -> Larder {
        larder(arguments).env("LARDER_SERVER", self.url()).env("LARDER_TOKEN_FILE", self.token_file())
    }

    /// GET, by hand.
    pub fn get(&self, path: &str) -> io::Result<Reply> {
        exchange(self.address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), &[])
    }

    /// How many blobs were uploaded since it was started.
    pub fn uploads(&self) -> u64 {
        let metrics = String::from_utf8(self.get("/metrics").unwrap().body).unwrap();
        let counts = metrics.lines().filter(|line| line.starts_with("larder_blob_uploads_total"));
        counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// The states of the versions of a name, newest first.
    pub fn states(&self, name: &str) -> Vec<String> {
        let rows = self.larder(&format!("versions {name} --json")).ok().json()["versions"].clone();
        rows.as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            let log = self.log();
            assert!(self.may_log_errors || !log.contains(r#""level":"ERROR""#), "{log}");
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

fn spawn(data: &Path, listen: &str, shell: &str, options: &str, log: &Path) -> (Child, Value) {
    let stderr = OpenOptions::new().append(true).open(log).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell}\nexec \"$@\""), "sh", env!("CARGO_BIN_EXE_larder"), "serve", "--json"]);
    command.args(["--listen", listen]).args(options.split_whitespace()).arg("--data").arg(data).env_clear();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    let announced = serde_json::Deserializer::from_reader(child.stdout.take().unwrap()).into_iter().next();
    let announced = announced.and_then(Result::ok);
    (child, announced.unwrap_or_else(|| panic!("no server: {}", std::fs::read_to_string(log).unwrap())))
}

/// An answer of a server.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// The first header of this name.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Reads the start line and the headers of a message.
pub fn read_head(stream: &mut impl io::BufRead) -> io::Result<(String, Vec<(String, String)>)> {
    let mut line = || {
        let mut line = String::new();
        let length = stream.read_line(&mut line)?;
        if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok::<_, io::Error>(line.trim().to_owned()) }
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok((first, headers)),
        }
    }
}

/// Sends one request, which must ask to close the connection, and reads the answer to its end.
pub fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut reader = io::BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    assert!(header(&headers, "transfer-encoding").is_none(), "{headers:?}");
    let bodyless = head.starts_with("HEAD ") || matches!(status, 204 | 304);
    let promised = header(&headers, "content-length").and_then(|length| length.parse().ok());
    if !bodyless && promised.is_some_and(|length: usize| length != body.len()) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Reply { status, headers, body })
}
