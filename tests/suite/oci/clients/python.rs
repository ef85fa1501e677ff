//! Clients that come as packages for Python: oras, and helm's own library.

use std::fs;

use tempfile::TempDir;

use super::programs::{Home, Said, files_in, said};
use crate::support::process::{ServerProcess, larder};

/// Pushes the files given, or pulls into a directory.
const ORAS: &str = "
import sys, oras.client
what, host, target, password, *rest = sys.argv[1:]
client = oras.client.OrasClient(hostname=host, insecure=True)
if password:
    client.auth.set_basic_auth('x', password)
if what == 'push':
    print(client.push(target=target, files=rest).status_code)
elif what == 'pull':
    print(client.pull(target=target, outdir=rest[0]))
else:
    print(client.get_tags(target))
";

/// Packages a chart and pushes it.
const HELM: &str = "
import asyncio, sys, helm_sdkpy
host, repository, password = sys.argv[1:]
auth = {host: {'username': 'x', 'password': password}} if password else None
config = helm_sdkpy.Configuration(plain_http=True, registry_auth=auth)
async def main():
    package = await helm_sdkpy.Package(config).run('chart', '.')
    await helm_sdkpy.Push(config).run(package, f'oci://{host}/{repository}', plain_http=True)
asyncio.run(main())
";

/// oras as a library for Python.
#[derive(Debug)]
pub struct Oras(pub Home);

impl Oras {
    fn run(&self, arguments: &[&str]) -> Said {
        let mut command = self.0.command("python3");
        command.args(["-c", ORAS]).args(arguments);
        said(command, "")
    }

    /// Pushes files of its home.
    pub fn push(&self, host: &str, to: &str, password: &str, files: &[(&str, &[u8])]) -> Said {
        for (name, bytes) in files {
            fs::write(self.0.path().join(name), bytes).unwrap();
        }
        let target = format!("{host}/{to}");
        let names = files.iter().map(|(name, _)| *name);
        self.run(&["push", host, &target, password].into_iter().chain(names).collect::<Vec<_>>())
    }

    /// Pulls and returns the names and contents of the files.
    pub fn pull(&self, host: &str, from: &str, password: &str) -> Vec<(String, Vec<u8>)> {
        let directory = self.0.fresh("pulled");
        let target = format!("{host}/{from}");
        self.run(&["pull", host, &target, password, directory.to_str().unwrap()]).ok();
        let read = |name: String| (name.clone(), fs::read(directory.join(name)).unwrap());
        files_in(&directory).into_iter().map(read).collect()
    }

    /// Pulls in vain.
    pub fn pull_fails(&self, host: &str, from: &str, password: &str) -> String {
        let directory = self.0.fresh("pulled");
        self.run(&["pull", host, &format!("{host}/{from}"), password, directory.to_str().unwrap()]).fails()
    }

    pub fn tags(&self, host: &str, repository: &str) -> String {
        self.run(&["tags", host, &format!("{host}/{repository}"), ""]).ok()
    }
}

/// Helm as a library for Python.
#[derive(Debug)]
pub struct Helm(pub Home);

impl Helm {
    /// Packages a chart `demo` of this version and pushes it below a repository.
    pub fn push(&self, host: &str, repository: &str, password: &str, version: &str) -> Said {
        let chart = self.0.path().join("chart");
        fs::create_dir_all(chart.join("templates")).unwrap();
        let about = format!("apiVersion: v2\nname: demo\nversion: {version}\ndescription: A chart\n");
        fs::write(chart.join("Chart.yaml"), about).unwrap();
        let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: demo}\n";
        fs::write(chart.join("templates/map.yaml"), template).unwrap();
        let mut command = self.0.command("python3");
        command.args(["-c", HELM, host, repository, password]);
        said(command, "")
    }
}

#[test]
#[ignore = "needs python3 with oras: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn oras_saves_what_is_attached_to_a_release() {
    let server = ServerProcess::start();
    let files = TempDir::new().unwrap();
    fs::write(files.path().join("tool"), "a tool").unwrap();
    larder("key new a.key --no-password").within(&files).ok();
    server.larder("publish team/tool/v1 tool -k a.key").within(&files).ok();
    let manifest = server.get("/v2/team/tool/manifests/v1").unwrap();
    let subject = manifest.header("docker-content-digest").unwrap();
    let list = server.get(&format!("/v2/team/tool/referrers/{subject}")).unwrap().json();
    let [signature] = &list["manifests"].as_array().unwrap()[..] else { panic!("{list:#}") };
    assert_eq!(signature["artifactType"], "text/x-minisign");
    let from = format!("team/tool@{}", signature["digest"].as_str().unwrap());
    let saved = Oras(Home::new()).pull(&server.address.to_string(), &from, "");
    server.larder("attachments team/tool/v1 --output saved").within(&files).ok();
    let attached = fs::read(files.path().join("saved/1.minisig")).unwrap();
    assert_eq!(saved, [("manifest.json.minisig".to_owned(), attached)]);
}
