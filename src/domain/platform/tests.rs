use super::*;
use crate::domain::Digest;
use crate::domain::manifest::release;

/// `NAME | platform arch libc format kind`, `-` for what is not known; `companion` for files about files.
const NAMES: &str = include_str!("tests/names.txt");

#[test]
fn names_of_real_releases_are_read() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for line in NAMES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, expected) = line.split_once('|').unwrap();
        let found = detect(name.trim());
        let traits = [found.platform, found.arch, found.libc, found.format, found.kind];
        let found =
            if found.is_companion { "companion".to_owned() } else { traits.map(|one| one.unwrap_or("-")).join(" ") };
        if found != expected.trim() {
            wrong.push(format!("{}: found {found}, not {}", name.trim(), expected.trim()));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 190, "{count}");
}

/// A release of files with these names, which states nothing else.
fn files(names: &[&str]) -> Vec<Artifact> {
    let artifact = |name: &&str| format!(r#"{{"name":"{name}","blob":"{}","size":1}}"#, Digest::of(name.as_bytes()));
    let artifacts: Vec<_> = names.iter().map(artifact).collect();
    release::read(format!(r#"{{"artifacts":[{}]}}"#, artifacts.join(",")).as_bytes()).unwrap().files
}

fn ask(query: &[(&str, &str)]) -> Stated {
    let mut stated = Stated::default();
    for (key, value) in query {
        let field = match *key {
            "os" => &mut stated.os,
            "arch" => &mut stated.arch,
            "libc" => &mut stated.libc,
            "format" => &mut stated.format,
            "kind" => &mut stated.kind,
            _ => &mut stated.target,
        };
        *field = Some((*value).to_owned());
    }
    stated
}

fn chosen(files: &[Artifact], query: &[(&str, &str)]) -> (Vec<String>, Option<&'static str>) {
    let stated = ask(query);
    let choice = choose(files, &Traits::wanted(&stated));
    (choice.files.iter().map(|file| file.name.to_string()).collect(), choice.fallback)
}

const TOOL: [&str; 9] = [
    "tool-x86_64-unknown-linux-gnu.tar.gz",
    "tool-x86_64-unknown-linux-musl.tar.gz",
    "tool-x86_64-unknown-linux-musl.tar.gz.sha256",
    "tool-aarch64-unknown-linux-gnu.tar.gz",
    "tool-universal-apple-darwin.tar.gz",
    "tool-x86_64-pc-windows-msvc.zip",
    "tool-x86_64-pc-windows-msvc.msi",
    "tool_1.0_amd64.deb",
    "SHA256SUMS",
];

#[test]
fn every_usual_spelling_leads_to_the_same_file() {
    let files = files(&TOOL);
    let one = |query: &[(&str, &str)]| match chosen(&files, query) {
        (names, None) if names.len() == 1 => names[0].clone(),
        other => panic!("{query:?}: {other:?}"),
    };
    for (os, arch) in [("linux", "arm64"), ("Linux", "aarch64"), ("linux", "ARM64")] {
        assert_eq!(one(&[("os", os), ("arch", arch)]), TOOL[3]);
    }
    for arch in ["amd64", "x86_64", "x64"] {
        assert_eq!(one(&[("os", "linux"), ("arch", arch), ("libc", "musl")]), TOOL[1]);
        assert_eq!(one(&[("os", "win32"), ("arch", arch), ("format", "zip")]), TOOL[5]);
    }
    assert_eq!(one(&[("target", "x86_64-unknown-linux-musl")]), TOOL[1]);
    assert_eq!(one(&[("target", "linux/arm64")]), TOOL[3]);
    assert_eq!(one(&[("os", "linux"), ("arch", "amd64"), ("format", "deb")]), TOOL[7]);
    assert_eq!(one(&[("os", "windows"), ("arch", "amd64"), ("kind", "installer")]), TOOL[6]);
    assert_eq!(
        one(&[("target", "x86_64-unknown-linux-gnu"), ("libc", "musl")]),
        TOOL[1],
        "what is stated alone counts"
    );
}

#[test]
fn several_and_none_are_told_apart() {
    let files = files(&TOOL);
    assert_eq!(chosen(&files, &[("os", "linux"), ("arch", "amd64")]).0, [TOOL[0], TOOL[1], TOOL[7]]);
    for none in
        [[("os", "freebsd"), ("arch", "amd64")], [("os", "linux"), ("arch", "riscv64")], [("os", ":"), ("arch", ":")]]
    {
        assert_eq!(chosen(&files, &none), (vec![], None), "{none:?}");
    }
    assert_eq!(chosen(&files, &[("target", "aarch64-unknown-linux-musl")]), (vec![], None), "glibc is no musl");
}

#[test]
fn what_is_taken_instead_is_said() {
    let tool = files(&TOOL);
    for arch in ["arm64", "amd64"] {
        let (names, fallback) = chosen(&tool, &[("os", "macos"), ("arch", arch)]);
        assert_eq!((names, fallback), (vec![TOOL[4].to_owned()], Some("arch=universal")));
    }
    let go = files(&["tool_linux_amd64", "tool_linux_amd64_static"]);
    let query = |libc| [("os", "linux"), ("arch", "amd64"), ("libc", libc)];
    assert_eq!(chosen(&go, &query("musl")), (vec!["tool_linux_amd64_static".to_owned()], Some("libc=static")));
    assert_eq!(chosen(&go, &query("gnu")), (vec!["tool_linux_amd64".to_owned()], Some("libc=unstated")));
    let native = files(&["tool-darwin-arm64", "tool-darwin-universal"]);
    assert_eq!(chosen(&native, &[("os", "darwin"), ("arch", "arm64")]), (vec!["tool-darwin-arm64".to_owned()], None));
}

#[test]
fn what_a_manifest_states_counts_more_than_the_name() {
    let blob = Digest::of(b"");
    let text = format!(
        r#"{{"artifacts":[
            {{"name":"tool-linux-amd64","blob":"{blob}","size":0,"platform":"Windows","arch":"aarch64"}},
            {{"name":"sums.txt","blob":"{blob}","size":0,"platform":"linux","kind":"checksums"}},
            {{"name":"app","blob":"{blob}","size":0,"platform":"linux","arch":"x64","libc":"MUSL","format":"TGZ"}}]}}"#
    );
    let files = release::read(text.as_bytes()).unwrap().files;
    assert_eq!(chosen(&files, &[("os", "windows"), ("arch", "arm64")]).0, ["tool-linux-amd64"]);
    assert_eq!(chosen(&files, &[("os", "linux"), ("kind", "checksums")]).0, ["sums.txt"]);
    assert_eq!(chosen(&files, &[("target", "x86_64-linux-musl"), ("format", "tar.gz")]).0, ["app"]);
}
