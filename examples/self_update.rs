//! A program that upgrades itself from a Larder server, and goes back if asked to.
//!
//! ```sh
//! self_update check main       # exit status 0: up to date, 10: there is another version
//! self_update upgrade main     # or main@17, main@sha256:HEX, tool/v1.2.0
//! self_update rollback         # to the program before the last upgrade; again: forward
//! ```
//!
//! `LARDER_SERVER` is the address of the server. The file to take from the manifest is `self_update-OS-ARCH` (`linux`,
//! `darwin`; `amd64`, `arm64`), or what `SELF_UPDATE_FILE` says.
//!
//! What makes it safe:
//! - Manifest and program come from one version: the manifest names the bytes by their digest, and they are verified.
//! - The new program is written beside the old one, flushed to the disk and started once, before anything changes.
//! - It takes the old one's place by a rename: at every moment, also after a crash, one complete program is there.
//! - The old one is kept under its own name, `.NAME.old`, first.
//! - A lock makes a second upgrade fail instead of mixing with the first.

#![expect(clippy::print_stdout, reason = "a program that people run")]

use std::env;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use larder::client::{Client, Fingerprint, Position, RetryPolicy};
use larder::domain::manifest::{Artifact, release};
use larder::domain::{Digest, Target};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Exit status of `check` if another version is there.
const OUTDATED: u8 = 10;
/// What a new program is started with before it is trusted. It must exit with 0.
const TRIAL: &str = "self-test";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("self_update: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        [TRIAL] => Ok(ExitCode::SUCCESS),
        ["check", target] => check(&target.parse()?).await,
        ["upgrade", target] => upgrade(&target.parse()?).await,
        ["rollback"] => rollback(),
        _ => Err("use: self_update check NAME | upgrade NAME | rollback".into()),
    }
}

async fn check(target: &Target) -> Result<ExitCode> {
    let installation = Installation::find()?;
    let (_, release) = published(target).await?;
    if release.blob.digest == installation.digest()? {
        println!("up to date: {}", release.blob.digest);
        return Ok(ExitCode::SUCCESS);
    }
    println!("available: {}", release.blob.digest);
    Ok(ExitCode::from(OUTDATED))
}

async fn upgrade(target: &Target) -> Result<ExitCode> {
    let installation = Installation::find()?;
    let _lock = installation.lock()?;
    let (client, release) = published(target).await?;
    if release.blob.digest == installation.digest()? {
        println!("up to date: {}", release.blob.digest);
        return Ok(ExitCode::SUCCESS);
    }
    let new = installation.beside("new");
    let result = match download(&client, &release, &new).await {
        Ok(()) => installation.install(&new),
        Err(error) => Err(error),
    };
    if result.is_err() {
        // It may not even exist; whatever is left of it is of no use.
        let _ = fs::remove_file(&new);
    }
    result?;
    println!("upgraded to {}", release.blob.digest);
    Ok(ExitCode::SUCCESS)
}

fn rollback() -> Result<ExitCode> {
    let installation = Installation::find()?;
    let _lock = installation.lock()?;
    let old = installation.beside("old");
    if !old.exists() {
        return Err("no earlier program is kept".into());
    }
    // Linked under a third name, because the old program's name becomes that of this one.
    let back = installation.beside("new");
    relink(&old, &back)?;
    installation.install(&back)?;
    println!("went back to {}", installation.digest()?);
    Ok(ExitCode::SUCCESS)
}

/// The file for this machine in a version, and the client to download it with.
async fn published(target: &Target) -> Result<(Client, Artifact)> {
    let server = env::var("LARDER_SERVER").map_err(|_| "set LARDER_SERVER to the address of the server")?;
    let client = Client::new(&server, None, RetryPolicy::default())?;
    let manifest = release::read(&client.get_manifest(target).await?.bytes)?;
    let wanted = env::var("SELF_UPDATE_FILE").unwrap_or_else(|_| default_file());
    let found = manifest.files.into_iter().find(|file| file.name.as_str() == wanted);
    Ok((client, found.ok_or_else(|| format!("{target} has no file {wanted}"))?))
}

fn default_file() -> String {
    let system = if env::consts::OS == "macos" { "darwin" } else { env::consts::OS };
    let machine = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("self_update-{system}-{machine}")
}

/// Downloads a file to `path`, complete, verified and on the disk.
async fn download(client: &Client, file: &Artifact, path: &Path) -> Result<()> {
    // What an interrupted upgrade left is overwritten.
    let mut out = tokio::fs::File::create(path).await?;
    client.download(file.blob, Position::default(), &mut out, &(Arc::new(|_| {}) as _)).await?;
    out.sync_all().await?;
    Ok(())
}

/// The program on the disk that this process was started from.
struct Installation {
    program: PathBuf,
}

impl Installation {
    /// Follows links, so that the program is replaced and not a link to it. To be called first: after the upgrade this
    /// process runs a file that has another name.
    fn find() -> Result<Self> {
        Ok(Self { program: env::current_exe()?.canonicalize()? })
    }

    fn digest(&self) -> Result<Digest> {
        Ok(Fingerprint::read(&self.program)?.blob.digest)
    }

    /// `.NAME.SUFFIX` in the program's directory: a rename within one file system is atomic.
    fn beside(&self, suffix: &str) -> PathBuf {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy();
        self.program.with_file_name(format!(".{name}.{suffix}"))
    }

    /// Held until the file is dropped, also if the process is killed.
    fn lock(&self) -> Result<File> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.beside("lock"))?;
        file.try_lock().map_err(|error| format!("another upgrade is under way ({error})"))?;
        Ok(file)
    }

    /// Tries `new` and lets it take the program's place. The program is kept as `.NAME.old`.
    fn install(&self, new: &Path) -> Result<()> {
        let mode = fs::metadata(&self.program)?.permissions().mode();
        fs::set_permissions(new, fs::Permissions::from_mode(mode))?;
        try_out(new)?;
        relink(&self.program, &self.beside("keep"))?;
        fs::rename(self.beside("keep"), self.beside("old"))?;
        fs::rename(new, &self.program)?;
        // The renames are durable when the directory is.
        File::open(self.program.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}

/// Starts a program as a trial: one for another machine, or one that lacks a library, must not be installed.
fn try_out(program: &Path) -> Result<()> {
    let trial = Command::new(program).arg(TRIAL).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match trial {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the new program does not work ({status}); nothing was changed").into()),
        Err(error) => Err(format!("the new program cannot be started ({error}); nothing was changed").into()),
    }
}

/// Makes `to` another name of the file `from`, whatever it was before.
fn relink(from: &Path, to: &Path) -> Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(fs::hard_link(from, to)?)
}
