//! Programs, each run in a home of its own, and what is built on containers/image.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder::domain::Digest;
use tempfile::TempDir;

use crate::oci::image::Image;

/// How long one command may take, in seconds.
const PATIENCE: &str = "180";

/// How a program ended, and everything it printed.
#[derive(Debug)]
pub struct Said {
    pub command: String,
    pub success: bool,
    pub text: String,
}

impl Said {
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.success, "{} failed:\n{}", self.command, self.text);
        self.text
    }

    #[track_caller]
    pub fn fails(self) -> String {
        assert!(!self.success, "{} should have failed:\n{}", self.command, self.text);
        self.text
    }
}

/// A home: programs that are run in it know nothing of others.
#[derive(Debug)]
pub struct Home {
    directory: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().display();
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{path}/storage\"\nrunroot = \"{path}/run\"\n\
             [storage.options]\nmount_program = \"\"\n"
        );
        fs::write(directory.path().join("storage.conf"), storage).unwrap();
        fs::create_dir(directory.path().join("xdg")).unwrap();
        fs::write(directory.path().join("auth.json"), "{}").unwrap();
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A new path in it.
    pub fn fresh(&self, name: &str) -> PathBuf {
        (0..10_000).map(|at| self.path().join(format!("{name}-{at}"))).find(|path| !path.exists()).unwrap()
    }

    /// A command with an environment that leads to nothing outside the home.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", PATIENCE, program]).current_dir(self.path()).env_clear();
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("HOME", self.path());
        command.env("XDG_RUNTIME_DIR", self.path().join("xdg"));
        command.env("CONTAINERS_STORAGE_CONF", self.path().join("storage.conf"));
        command.env("REGISTRY_AUTH_FILE", self.path().join("auth.json"));
        command.env("DOCKER_CONFIG", self.path().join("docker"));
        command.env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs");
        command
    }

    /// Runs a program with arguments that are separated by spaces.
    pub fn run(&self, program: &str, arguments: &str) -> Said {
        self.run_with(program, arguments, "")
    }

    /// The same with this on standard input.
    pub fn run_with(&self, program: &str, arguments: &str, input: &str) -> Said {
        let mut command = self.command(program);
        command.args(arguments.split_whitespace());
        said(command, input)
    }

    /// Runs skopeo.
    pub fn skopeo(&self, arguments: &str) -> Said {
        self.run("skopeo", &format!("--insecure-policy {arguments}"))
    }

    /// Writes an image where programs read it from: `oci:PATH:it`. The path is relative, since podman makes a name of it, and
    /// names have no capitals.
    pub fn layout(&self, image: &Image) -> String {
        let path = self.fresh("layout");
        image.write_layout(&path);
        format!("oci:{}:it", path.file_name().unwrap().display())
    }
}

/// Runs a command to its end.
pub fn said(mut command: Command, input: &str) -> Said {
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(input.as_bytes()).and_then(|()| stdin.rewind()).unwrap();
    let mut output = tempfile::tempfile().unwrap();
    command.stdin(stdin).stdout(output.try_clone().unwrap()).stderr(output.try_clone().unwrap());
    let shown = command.get_args().skip(2).collect::<Vec<_>>().join(OsStr::new(" "));
    let status = command.status().expect("coreutils have timeout");
    let mut text = Vec::new();
    output.rewind().and_then(|()| output.read_to_end(&mut text)).unwrap();
    let (command, text) = (shown.to_string_lossy().into_owned(), String::from_utf8_lossy(&text).into_owned());
    assert_ne!(status.code(), Some(127), "{command} is not installed");
    Said { command, success: status.success(), text }
}

/// What a client does for people. References are `HOST/REPOSITORY:TAG`.
pub trait Client {
    /// How it is called.
    fn name(&self) -> &'static str;

    /// Logs in as user `x` with this password.
    fn log_in(&self, host: &str, password: &str) -> Said;

    /// Pushes an image that was made somewhere else.
    fn push(&self, image: &Image, to: &str) -> Said;

    /// Pulls what it does not have yet. The text names the digest of what it pulled.
    fn pull(&self, from: &str) -> Said;
}

/// One of the programs that are built on containers/image, with a storage of its own.
#[derive(Debug)]
pub struct Skopeo(pub Home);

impl Client for Skopeo {
    fn name(&self) -> &'static str {
        "skopeo"
    }

    fn log_in(&self, host: &str, password: &str) -> Said {
        self.0.run_with("skopeo", &format!("login --tls-verify=false -u x --password-stdin {host}"), password)
    }

    fn push(&self, image: &Image, to: &str) -> Said {
        let all = if image.children.is_empty() { "" } else { "--all" };
        self.0.skopeo(&format!("copy {all} --dest-tls-verify=false {} docker://{to}", self.0.layout(image)))
    }

    fn pull(&self, from: &str) -> Said {
        let path = self.0.fresh("pulled");
        let mut said = self.0.skopeo(&format!("copy --src-tls-verify=false docker://{from} dir:{}", path.display()));
        if said.success {
            said.text = Digest::of(&fs::read(path.join("manifest.json")).unwrap()).to_string();
        }
        said
    }
}

/// podman, whose storage is emptied before each pull.
#[derive(Debug)]
pub struct Podman(pub Home);

impl Client for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn log_in(&self, host: &str, password: &str) -> Said {
        self.0.run_with("podman", &format!("login --tls-verify=false -u x --password-stdin {host}"), password)
    }

    fn push(&self, image: &Image, to: &str) -> Said {
        let id = self.0.run("podman", &format!("pull -q {}", self.0.layout(image))).ok();
        let id = id.lines().last().unwrap_or_default();
        assert_eq!(format!("sha256:{id}"), image.id());
        self.0.run("podman", &format!("push --tls-verify=false {id} {to}"))
    }

    fn pull(&self, from: &str) -> Said {
        self.0.run("podman", "rmi -f --all").ok();
        let pulled = self.0.run("podman", &format!("pull --tls-verify=false {from}"));
        if !pulled.success {
            return pulled;
        }
        self.0.run("podman", &format!("image inspect --format {{{{.RepoDigests}}}} {from}"))
    }
}

/// buildah, whose storage is emptied before each pull.
#[derive(Debug)]
pub struct Buildah(pub Home);

impl Client for Buildah {
    fn name(&self) -> &'static str {
        "buildah"
    }

    fn log_in(&self, host: &str, password: &str) -> Said {
        self.0.run_with("buildah", &format!("login --tls-verify=false -u x --password-stdin {host}"), password)
    }

    fn push(&self, image: &Image, to: &str) -> Said {
        if !image.children.is_empty() {
            return self.push_index(image, to);
        }
        let id = self.0.run("buildah", &format!("pull -q {}", self.0.layout(image))).ok();
        let id = id.lines().last().unwrap_or_default();
        self.0.run("buildah", &format!("push --tls-verify=false {id} docker://{to}"))
    }

    fn pull(&self, from: &str) -> Said {
        self.0.run("buildah", "rmi -f --all").ok();
        let pulled = self.0.run("buildah", &format!("pull --tls-verify=false {from}"));
        if !pulled.success {
            return pulled;
        }
        self.0.run("buildah", "images --digests")
    }
}

impl Buildah {
    /// Makes an index of what it built, as builds for several platforms do.
    fn push_index(&self, image: &Image, to: &str) -> Said {
        self.0.run("buildah", "manifest create many").ok();
        for child in &image.children {
            let id = self.0.run("buildah", &format!("pull -q {}", self.0.layout(child))).ok();
            let id = id.lines().last().unwrap_or_default();
            self.0.run("buildah", &format!("manifest add many containers-storage:{id}")).ok();
        }
        self.0.run("buildah", &format!("manifest push --all --tls-verify=false many docker://{to}"))
    }
}

/// Files of a directory, for what a client put there.
pub fn files_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A child process that is ended with what holds it.
#[derive(Debug)]
pub struct Ended(pub std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        // Softly: daemons clean up what they mounted.
        let _ = Command::new("kill").arg(&pid).stderr(Stdio::null()).status();
        for _ in 0..100 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
