//! `larder site` from beginning to end: a domain is attached, verified, repointed and detached, with a name server on a
//! real socket.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use super::{Page, exchange};
use crate::support::dns::NameServer;
use crate::support::process::{Output, ServerProcess};

const SHOP: &str = "shop.example.com";

const CONFIG: &str = r#"
[server]
api_hosts = ["127.0.0.1"]
[[sites]]
id = "docs"
hosts = ["docs.example.org"]
name = "acme/docs"
[sites.previews]
domain = "preview.example.org"
[[sites]]
id = "pulls"
names = ["pr/**"]
[sites.previews]
domain = "pr.example.org"
"#;

struct World {
    server: ServerProcess,
    files: TempDir,
    dns: NameServer,
}

impl World {
    async fn start() -> Self {
        let (dns, files) = (NameServer::start().await, TempDir::new().unwrap());
        let config = format!("{CONFIG}[domains]\nname_servers = [\"{}\"]\n", dns.address);
        fs::write(files.path().join("larder.toml"), config).unwrap();
        let server = ServerProcess::with(&format!("--config {}", files.path().join("larder.toml").display()));
        let world = Self { server, files, dns };
        for text in ["first", "second"] {
            fs::create_dir_all(world.files.path().join("p")).unwrap();
            fs::write(world.files.path().join("p/index.html"), text).unwrap();
            world.ok("publish acme/shop p --kind static");
        }
        world
    }

    fn ok(&self, arguments: &str) -> Output {
        self.server.larder(arguments).within(&self.files).ok()
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    async fn get(&self, host: &str, path: &str, more: &str) -> Page {
        exchange(self.address(), &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{more}connection: close\r\n\r\n"))
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_attached_verified_repointed_and_detached() {
    let world = World::start().await;
    let shown = world.ok("site point shop.example.com acme/shop").stdout;
    let record = shown.lines().nth(1).unwrap();
    let (name, text) = record.split_once(". TXT ").unwrap();
    assert_eq!(name, "_larder-challenge.shop.example.com");
    world.get(SHOP, "/", "").await.expect(421);
    world.server.larder("site verify shop.example.com").exits(1).says("has no TXT record yet").says(record);
    assert!(world.ok("site ls acme/shop").stdout.contains("pending"));

    world.dns.set(name, &[text.trim_matches('"')]);
    assert_eq!(world.ok("site verify shop.example.com --wait 1min").stdout, "shop.example.com serves acme/shop\n");
    assert_eq!(world.get(SHOP, "/", "").await.expect(200).text(), "second");
    assert_eq!(world.ok("site open acme/shop --print").stdout, "https://shop.example.com/\n");

    let repointed = world.server.larder("site point shop.example.com acme/shop@1 --reason").arg("slow checkout").ok();
    assert_eq!(repointed.stdout, "shop.example.com serves acme/shop@1\n");
    assert_eq!(world.get(SHOP, "/", "").await.expect(200).text(), "first");
    let shown = world.ok("site show shop.example.com").stdout;
    assert!(shown.contains("larder:admin  point acme/shop@1: slow checkout"), "{shown}");
    let link = "<a href=\"https://shop.example.com/\">shop.example.com</a>";
    for (version, is_served) in [(1, true), (2, false)] {
        let page = world.get("127.0.0.1", &format!("/versions/acme/shop@{version}"), "accept: text/html\r\n").await;
        assert_eq!(page.expect(200).text().contains(link), is_served, "version {version}");
    }

    let nothing = world.server.larder("site point new.example.com acme/none").ok();
    assert!(nothing.stderr.contains("no version acme/none yet"), "{}", nothing.stderr);
    world.ok("publish acme/tool p");
    let tool = world.server.larder("site point tool.example.com acme/tool").ok();
    assert!(tool.stderr.contains("acme/tool is no site now"), "{}", tool.stderr);
    world.server.larder("site point docs.example.org acme/shop").exits(1).says("configuration");
    assert_eq!(world.ok("site rm shop.example.com").stdout, "shop.example.com detached\n");
    world.get(SHOP, "/", "").await.expect(421);
    world.server.larder("site rm shop.example.com").exits(3);
    world.server.larder("site show other.example.com").exits(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_are_found_by_name_even_where_no_host_serves_it() {
    let world = World::start().await;
    world.ok("publish pr/1234 p --kind static");
    world.ok("publish acme/docs p --kind static");
    assert_eq!(world.ok("site preview pr/1234@1").stdout, "https://v1-przs1234.pr.example.org/\n");
    assert_eq!(world.ok("site open pr/1234 --print").stdout, "https://live-przs1234.pr.example.org/\n");
    assert_eq!(world.ok("site preview acme/docs@1").stdout, "https://v1-docs.preview.example.org/\n");
    world.server.larder("site preview acme/shop@1").exits(3).says("no preview hosts");
    world.server.larder("site open acme/shop --print").exits(3).says("larder site point HOST acme/shop");
    let document = world.ok("site ls --json").json();
    assert_eq!(document["sites"][0]["source"], "configuration");
}
