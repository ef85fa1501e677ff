//! The built binary on a bucket: servers, commands, and clients of those servers.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;

use larder::domain::Digest;
use larder::store::s3::S3Settings;
use tempfile::TempDir;

use super::process::{Larder, Running, larder, until};

/// A token that may do everything.
pub const TOKEN: &str = "larder_a-token-for-tests-only";

/// One configuration, and the credentials for its bucket.
#[derive(Debug)]
pub struct Deployment {
    directory: TempDir,
    settings: S3Settings,
}

impl Deployment {
    /// A deployment on this bucket; its servers do not collect by themselves.
    pub fn on(settings: &S3Settings) -> Self {
        Self::with(settings, "", "[collector]\nenabled = false\n")
    }

    /// A deployment with further lines in the section of the store, and further sections.
    pub fn with(settings: &S3Settings, store: &str, sections: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let (digest, timeouts) = (Digest::of(TOKEN.as_bytes()).to_string(), settings.timeouts);
        let mut text = format!(
            "[store]\ntype = \"s3\"\nbucket = {:?}\nprefix = {:?}\nendpoint = {:?}\npart_size = \"5MiB\"\n",
            settings.bucket,
            settings.prefix,
            settings.endpoint.as_deref().unwrap(),
        );
        let time = humantime::format_duration;
        let (attempt, give_up) = (time(timeouts.attempt), time(timeouts.give_up));
        let _ = write!(text, "attempt_timeout = \"{attempt}\"\ngive_up_after = \"{give_up}\"\n{store}\n");
        let sha256 = digest.trim_start_matches("sha256:");
        let _ = write!(text, "[[access.tokens]]\nid = \"test\"\nsha256 = {sha256:?}\nactions = [\"admin\"]\n");
        fs::write(directory.path().join("larder.toml"), text + sections).unwrap();
        Self { directory, settings: settings.clone() }
    }

    /// A command that looks at the bucket. It finds its credentials where the SDK looks for them.
    pub fn larder(&self, arguments: &str) -> Larder {
        let key = self.settings.access_key.as_ref().unwrap();
        larder(arguments)
            .arg("--config")
            .arg(self.directory.path().join("larder.toml"))
            .env("AWS_ACCESS_KEY_ID", &key.id)
            .env("AWS_SECRET_ACCESS_KEY", &key.secret)
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// A server, which may not be up yet.
    pub fn launch(&self, port: u16) -> Running {
        self.larder(&format!("serve --listen 127.0.0.1:{port}")).start()
    }

    /// A server that is up.
    pub fn serve(&self, port: u16) -> Running {
        let server = self.launch(port);
        until("the server is up", || is_up(port));
        server
    }
}

/// A command that talks to a server of a deployment.
pub fn client(url: &str, arguments: &str) -> Larder {
    larder(arguments).env("LARDER_SERVER", url).env("LARDER_TOKEN", TOKEN)
}

pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

pub fn is_up(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
