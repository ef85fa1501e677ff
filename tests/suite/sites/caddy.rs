//! `config/sites.caddyfile`: the proxy that the guide puts in front of sites.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::{BLOG, DOCS, Sites};
use crate::readme::commands_exist;
use crate::support::process::{free_port, until};

const GUIDE: &str = include_str!("../../../docs/sites.md");
const CADDYFILE: &str = include_str!("../../../config/sites.caddyfile");

struct Caddy {
    process: Child,
    home: TempDir,
    port: u16,
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default());
        }
    }
}

/// Starts a program with an empty home, where it keeps what it writes.
fn background(program: &mut Command, home: &Path) -> Child {
    let log = std::fs::File::create(home.join("log")).unwrap();
    program.current_dir(home).env("HOME", home).env("XDG_DATA_HOME", home).env("XDG_CONFIG_HOME", home);
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts")
}

/// What `curl` gets from a host through the proxy: its exit code, the status and the body.
fn get(curl: &mut Command, caddy: &Caddy, host: &str, path: &str) -> (Option<i32>, String) {
    let (port, root) = (caddy.port, caddy.home.path().join("caddy/pki/authorities/local/root.crt"));
    curl.args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}", "--cacert"]).arg(root);
    curl.args(["--resolve", &format!("{host}:{port}:127.0.0.1"), &format!("https://{host}:{port}{path}")]);
    let output = curl.output().expect("curl runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The file as it stands, with certificates of its own authority, other ports, and this server.
fn adapted(server: &str, port: u16) -> String {
    assert_eq!(CADDYFILE.matches("127.0.0.1:8080").count(), 2);
    let ours = format!(
        "{{\n\tlocal_certs\n\tskip_install_trust\n\tadmin off\n\thttps_port {port}\n\thttp_port {}\n",
        free_port()
    );
    CADDYFILE.replacen("{\n", &ours, 1).replace("127.0.0.1:8080", server)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs caddy and curl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn the_proxy_of_the_guide_has_certificates_for_sites_and_for_nothing_else() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "the docs")], json!({})).await;
    let (home, port) = (TempDir::new().unwrap(), free_port());
    std::fs::write(home.path().join("Caddyfile"), adapted(&sites.0.address.to_string(), port)).unwrap();
    let process = background(Command::new("caddy").args(["run", "--config", "Caddyfile"]), home.path());
    let caddy = Caddy { process, home, port };
    tokio::task::spawn_blocking(move || {
        let get = |host: &str, path: &str| get(&mut Command::new("curl"), &caddy, host, path);
        until("caddy answers for the interface", || get("releases.example.org", "/livez").1.ends_with("\n200"));
        assert_eq!(get(DOCS, "/"), (Some(0), "the docs\n200".into()));
        assert!(get("www.docs.example.org", "/").1.ends_with("\n308"), "another name of the site");
        assert!(get(BLOG, "/").1.ends_with("\n404"), "a site without a release");
        // The handshake fails: there is no certificate, and none is asked for.
        for host in ["v1-docs.preview.example.org", "evil.example.com"] {
            assert_eq!(get(host, "/"), (Some(35), "\n000".into()), "{host}");
        }
        let preview = get("live-przs1.pr.example.org", "/");
        assert!(preview.1.ends_with("\n401"), "on_demand is set for these previews: {preview:?}");
    })
    .await
    .unwrap();
    drop(sites);
}

#[test]
fn the_guide_names_the_file_and_what_it_needs() {
    for text in ["config/sites.caddyfile", "/tls/ask", "trusted_proxies"] {
        assert!(GUIDE.contains(text), "{text}");
    }
    assert!(commands_exist(GUIDE, &["sh walkthrough"]) > 2);
}
