//! docker with its daemon, and containerd, run by hand: no bridge, no rules in the firewall, no systemd. Pushing and
//! pulling need no container.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use super::programs::{Client, Ended, Home, Said, said};
use crate::oci::image::Image;
use crate::support::process::until;

/// containerd and dockerd.
#[derive(Debug)]
pub struct Daemons {
    // In the order in which they end.
    _dockerd: Ended,
    _containerd: Ended,
    home: Home,
}

impl Daemons {
    pub fn start() -> Rc<Self> {
        let home = Home::new();
        let path = home.path().display();
        // What it finds out about the machine without these is slow, or needs modules of the kernel.
        let plugins = ["snapshotter.v1.aufs", "snapshotter.v1.btrfs", "snapshotter.v1.zfs", "snapshotter.v1.devmapper"];
        let plugins = plugins.map(|name| format!("\"io.containerd.{name}\"")).join(", ");
        let config = format!(
            "version = 2\nroot = \"{path}/containerd/root\"\nstate = \"{path}/containerd/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", {plugins}]\n[grpc]\naddress = \"{path}/containerd.sock\"\n"
        );
        fs::write(home.path().join("containerd.toml"), config).unwrap();
        let containerd = background(&home, &["containerd", "-c", "containerd.toml"]);
        let (socket, containerd_socket) = (home.path().join("docker.sock"), home.path().join("containerd.sock"));
        until("containerd listens", || containerd_socket.exists());
        let arguments = format!(
            "dockerd --data-root {path}/docker-data --exec-root {path}/docker-exec -p {path}/docker.pid \
             -H unix://{path}/docker.sock --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs \
             --containerd {path}/containerd.sock"
        );
        let dockerd = background(&home, &arguments.split_whitespace().collect::<Vec<_>>());
        until("dockerd listens", || socket.exists());
        let daemons = Rc::new(Self { _dockerd: dockerd, _containerd: containerd, home });
        until("dockerd answers", || daemons.docker_in(&daemons.home, "version").success);
        daemons
    }

    /// Runs docker with the configuration of a home.
    pub fn docker_in(&self, home: &Home, arguments: &str) -> Said {
        home.run("docker", &format!("-H unix://{}/docker.sock {arguments}", self.home.path().display()))
    }

    fn containerd_socket(&self) -> PathBuf {
        self.home.path().join("containerd.sock")
    }
}

/// Starts a daemon in the background; what it logs is in its home.
pub fn background(home: &Home, words: &[&str]) -> Ended {
    let log = fs::File::create(home.path().join(format!("{}.log", words[0]))).unwrap();
    let mut command = Command::new(words[0]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(&words[1..]).current_dir(home.path()).env_clear().env("HOME", home.path());
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).process_group(0);
    command.stdin(std::process::Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Ended(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", words[0])))
}

/// docker, with its daemon.
#[derive(Debug)]
pub struct Docker {
    pub daemons: Rc<Daemons>,
    pub home: Home,
}

impl Docker {
    pub fn new(daemons: &Rc<Daemons>) -> Self {
        Self { daemons: Rc::clone(daemons), home: Home::new() }
    }

    pub fn docker(&self, arguments: &str) -> Said {
        self.daemons.docker_in(&self.home, arguments)
    }
}

impl Client for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn log_in(&self, host: &str, password: &str) -> Said {
        let socket = format!("unix://{}/docker.sock", self.daemons.home.path().display());
        self.home.run_with("docker", &format!("-H {socket} login -u x --password-stdin {host}"), password)
    }

    /// It reads no OCI layouts: it makes images of the layers.
    fn push(&self, image: &Image, to: &str) -> Said {
        let (repository, tag) = to.rsplit_once(':').unwrap();
        let images = if image.children.is_empty() { vec![image] } else { image.children.iter().collect() };
        let mut parts = String::new();
        for (at, one) in images.iter().enumerate() {
            let file = self.home.fresh("layer.tar");
            fs::write(&file, &one.blobs[1]).unwrap();
            let part = if image.children.is_empty() { to.to_owned() } else { format!("{repository}:{tag}-{at}") };
            self.docker(&format!("import {} {part}", file.display())).ok();
            let pushed = self.docker(&format!("push {part}"));
            if !pushed.success || image.children.is_empty() {
                return pushed;
            }
            parts = format!("{parts} {part}");
        }
        self.docker(&format!("manifest create --insecure {to} {parts}")).ok();
        self.docker(&format!("manifest push --insecure {to}"))
    }

    fn pull(&self, from: &str) -> Said {
        let all = self.docker("image ls -q").ok();
        let all: Vec<&str> = all.split_whitespace().collect();
        if !all.is_empty() {
            self.docker(&format!("rmi -f {}", all.join(" "))).ok();
        }
        let pulled = self.docker(&format!("pull {from}"));
        if !pulled.success {
            return pulled;
        }
        self.docker(&format!("image inspect -f {{{{.RepoDigests}}}} {from}"))
    }
}

/// containerd through `ctr`, which keeps no login: it takes user and password with each command.
#[derive(Debug)]
pub struct Ctr {
    daemons: Rc<Daemons>,
    home: Home,
    password: std::cell::RefCell<String>,
}

impl Ctr {
    pub fn new(daemons: &Rc<Daemons>) -> Self {
        Self { daemons: Rc::clone(daemons), home: Home::new(), password: std::cell::RefCell::default() }
    }

    fn ctr(&self, arguments: &str) -> Said {
        let mut command = self.home.command("ctr");
        command.arg("-a").arg(self.daemons.containerd_socket()).args(arguments.split_whitespace());
        said(command, "")
    }

    fn user(&self) -> String {
        let password = self.password.borrow();
        if password.is_empty() { String::new() } else { format!("--user x:{password}") }
    }
}

impl Client for Ctr {
    fn name(&self) -> &'static str {
        "ctr"
    }

    fn log_in(&self, host: &str, password: &str) -> Said {
        password.clone_into(&mut self.password.borrow_mut());
        // Nothing is asked before it is needed.
        let said =
            self.ctr(&format!("images pull --plain-http --snapshotter native {} {host}/login/none:x", self.user()));
        let refused = said.text.contains("401") || said.text.to_lowercase().contains("unauthorized");
        Said { success: !refused, ..said }
    }

    fn push(&self, image: &Image, to: &str) -> Said {
        let (base, _) = to.rsplit_once(':').unwrap();
        let file = self.home.fresh("layout.tar");
        fs::write(&file, image.layout_archive()).unwrap();
        self.ctr(&format!("images import --no-unpack --all-platforms --base-name {base} {}", file.display())).ok();
        self.ctr(&format!("images push --plain-http {} {to} {base}:it", self.user()))
    }

    fn pull(&self, from: &str) -> Said {
        let all = self.ctr("images ls -q").ok();
        let all: Vec<&str> = all.split_whitespace().collect();
        if !all.is_empty() {
            self.ctr(&format!("images rm --sync {}", all.join(" "))).ok();
        }
        let pulled = self.ctr(&format!("images pull --plain-http --snapshotter native {} {from}", self.user()));
        if !pulled.success {
            return pulled;
        }
        self.ctr(&format!("images ls name=={from}"))
    }
}
