//! How each server is started: its configuration, as a user would write it for speed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use super::cores::Cores;
use super::fixtures::NAME;
use super::install::{Program, Programs};
use super::process::Launch;
use super::servers::Kind;
use super::support::{LARDER, QUIET};

/// Writes a server's configuration into `root`, where it also keeps everything, and says how to start it.
pub(crate) fn launch(kind: Kind, programs: &Programs, cores: &Cores, root: &Path, address: SocketAddr) -> Launch {
    match kind {
        Kind::Larder => larder(root, address),
        Kind::Nginx => nginx(&programs.nginx, cores, root, address),
        Kind::Registry => registry(&programs.registry, root, address),
        Kind::Angos => angos(programs.angos.as_ref().expect("it was given"), root, address),
        Kind::Caddy => caddy(programs.caddy.as_ref().expect("it was found"), root, address),
        Kind::Engine => panic!("the engine starts by itself"),
    }
}

fn larder(root: &Path, address: SocketAddr) -> Launch {
    let mut arguments: Vec<_> = ["serve", "--listen"].map(Into::into).into();
    arguments.extend([address.to_string().into(), "--data".into(), root.into()]);
    let configuration = root.join("larder.toml");
    if configuration.exists() {
        arguments.extend(["--config".into(), configuration.into()]);
    }
    let variables = [QUIET, ("LARDER__LOG__FILTER", "warn")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Launch { program: LARDER.into(), arguments, variables, log: root.join("bench.log") }
}

fn nginx(program: &Program, cores: &Cores, root: &Path, address: SocketAddr) -> Launch {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (workers, here) = (cores.of_servers(), root.display());
    let configuration = format!(
        "{user} worker_processes {workers}; daemon off; pid {here}/nginx.pid; error_log {here}/error.log warn;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; server_tokens off;
            keepalive_requests 1000000000; keepalive_timeout 1h; default_type application/octet-stream;
            client_body_temp_path {here}/tmp; proxy_temp_path {here}/tmp; fastcgi_temp_path {here}/tmp;
            uwsgi_temp_path {here}/tmp; scgi_temp_path {here}/tmp;
            server {{ listen {address} backlog=1024; root {here}/files; include {here}/site.conf*; }}
        }}\n"
    );
    fs::write(root.join("nginx.conf"), configuration).expect("a configuration");
    let arguments = vec!["-p".into(), root.into(), "-c".into(), root.join("nginx.conf").into()];
    start(program, arguments, root)
}

fn registry(program: &Program, root: &Path, address: SocketAddr) -> Launch {
    // JSON is YAML.
    let configuration = json!({
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": root, "maxthreads": 1000}, "cache": {"blobdescriptor": "inmemory"}},
        "http": {"addr": address, "relativeurls": true, "secret": "bench"},
    });
    fs::write(root.join("config.yml"), configuration.to_string()).expect("a configuration");
    start(program, vec!["serve".into(), root.join("config.yml").into()], root)
}

/// Uses as many processors as it may run on.
fn caddy(program: &Program, root: &Path, address: SocketAddr) -> Launch {
    let arguments = ["run", "--adapter", "caddyfile", "--config"].map(Into::into);
    let mut launch = start(program, [&arguments[..], &[root.join("Caddyfile").into()]].concat(), root);
    let home = root.display().to_string();
    launch.variables.extend([("PORT".to_owned(), address.port().to_string()), ("HOME".to_owned(), home)]);
    launch
}

/// Everybody may do everything, by a rule that holds whatever the default is called in this version.
fn angos(program: &Program, root: &Path, address: SocketAddr) -> Launch {
    let (host, port, here) = (address.ip(), address.port(), root.join("data"));
    let repository = NAME.split('/').next().expect("a first part");
    let configuration = format!(
        "[server]\nbind_address = \"{host}\"\nport = {port}\n\
        [blob_store.fs]\nroot_dir = \"{0}\"\nsync_to_disk = true\n\
        [metadata_store.fs]\nroot_dir = \"{0}\"\nsync_to_disk = true\n\
        [global.access_policy]\nrules = [\"true\"]\n\
        [repository.\"{repository}\".access_policy]\nrules = [\"true\"]\n",
        here.display()
    );
    fs::create_dir_all(&here).expect("a directory");
    fs::write(root.join("config.toml"), configuration).expect("a configuration");
    start(program, vec!["-c".into(), root.join("config.toml").into(), "server".into()], root)
}

fn start(program: &Program, arguments: Vec<std::ffi::OsString>, root: &Path) -> Launch {
    let mut variables = program.variables();
    variables.push(("RUST_LOG".to_owned(), "error".to_owned()));
    Launch { program: program.path.clone(), arguments, variables, log: root.join("bench.log") }
}
