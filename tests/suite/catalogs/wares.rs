//! Identifiers of wares: the hash of what is in a tar.
//!
//! The expected ones are those of `tests/suite/fixtures/ware.py`, which has nothing in common with the server's code; the
//! last test compares the two on every tar here.

use larder::service::wares::{ScanLimits, Scanned, scan};

use super::tars::{GNU, Said, Tar, gzip, header, put, summed};
use super::*;

pub const LIMITS: ScanLimits = ScanLimits::new(1 << 30);
/// The ware of [`with_root`].
const WITH_ROOT: &str = "tar:374jJkBopVnrYNgyGbvDPY5QGRhB7jCHG4B3awKmHtzXdPon6vUYUAgCTCLnDDsGLM";

/// A tar that can be read: what it shows, its bytes, its ware, and how many of its entries that does not cover.
type Sound = (&'static str, Vec<u8>, &'static str, u64);

fn sound() -> Vec<Sound> {
    [trees(), extended(), headers()].concat()
}

/// Trees of files and directories.
fn trees() -> Vec<Sound> {
    let links = |tar: Tar| tar.link(b'2', "./bin/sym", "tool").link(b'1', "./bin/hard", "./bin/tool");
    let devices = |tar: Tar| tar.link(b'3', "./chr", "").link(b'4', "./blk", "").link(b'6', "./fifo", "");
    vec![
        ("with ./", with_root().end(), WITH_ROOT, 0),
        ("in another order", reordered().end(), WITH_ROOT, 0),
        ("compressed", gzip(&with_root().end()), WITH_ROOT, 0),
        ("without an end", with_root().open(), WITH_ROOT, 0),
        ("with links", devices(links(with_root())).end(), WITH_ROOT, 5),
        (
            "missing parents",
            Tar::default().program("bin/tool", b"tool").file("notes", b"read me").end(),
            "tar:8AerFhrZYhS2NCxQ8QEWyey2k55CLXatwHeAp3AYETqqx53Kat4WM8ja3iMZgBbMZB",
            0,
        ),
        (
            "a parent that follows",
            Tar::default().file("a/b", b"b").directory("a", 0o700).end(),
            "tar:NWi5uzVnV3wongcNFE46tgUSBKSsN99X4ktNKsszyXxVATPVL7UP5FfhT3yUEZiXG",
            0,
        ),
        (
            "nothing but its root",
            Tar::default().directory("./", 0o755).end(),
            "tar:3wP8qrqRJxRzHZbEbhfyjEAPig6U8eNp8HWQTQbrfXZMTx1s2F3SL7U8JJ9ZTgW7qm",
            0,
        ),
        (
            "names that begin alike",
            alike().end(),
            "tar:4TNnLbCEHrEtyiLjXtoJ2WK65qatvHxux9Xw8WQhknzJAghL5UxrQZpJSQjbGqDWg",
            0,
        ),
    ]
}

/// What headers before an entry say of it.
fn extended() -> Vec<Sound> {
    let long = format!("{}/{}é", "d".repeat(120), "n".repeat(130));
    vec![
        (
            "records",
            Tar::default()
                .pax(b'x', &[("path", &long), ("mtime", "1300000000.25"), ("uid", "4294967301"), ("gid", "2097152")])
                .file("short", b"x")
                .pax(b'x', &[("mtime", "-5.75"), ("SCHILY.xattr.user.b", "2"), ("SCHILY.xattr.user.a", "ä")])
                .file("short", b"x")
                .pax(b'x', &[("path", "sized"), ("size", "3"), ("linkpath", "")])
                .raw(&header(b"other", 0, Said::default()), b"abc")
                .end(),
            "tar:99NyQe4JGtChD57TedY4vpGpf6bb48ej2t1T2LuNzx7qHhxrfpWiTWvCkWH1UQqLAa",
            0,
        ),
        (
            "a commit's note",
            Tar::default().pax(b'g', &[("comment", "4fef")]).file("a", b"a").end(),
            "tar:8S8QahXBuVNRGePUUWU6bzngYFtmrtD9i8F25CKoDrdWoeQfaYaAhXhjNRWBfCSZzz",
            0,
        ),
        (
            "long names of GNU",
            Tar::default()
                .long(b'L', &long)
                .entry("cut", b"x", Said { magic: GNU, ..Said::default() })
                .long(b'K', &long)
                .entry("link", b"", Said { flag: b'2', link: "cut", magic: GNU, ..Said::default() })
                .end(),
            "tar:HTNupGWDK18QXR8fqKR5kRiM9sPAWnVja8RnjWqLXtrD8gV3fEVdn9Hrw4xVfM7ZZ",
            1,
        ),
    ]
}

/// Headers of other formats than the usual one.
fn headers() -> Vec<Sound> {
    let mut binary = header(b"old/file", 0, Said { magic: GNU, ..Said::default() });
    binary[108..116].copy_from_slice(b"\x80\0\0\x01\0\0\0\x07");
    binary[136..148].copy_from_slice(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00");
    let old = |flag| Said { flag, magic: b"", ..Said::default() };
    let mut prefixed = header(b"file", 3, Said::default());
    put(&mut prefixed, 345, "some/prefix");
    vec![
        (
            "old headers",
            Tar::default().entry("dir/", b"", old(0)).entry("dir/file", b"x", old(0)).end(),
            "tar:9qUbBJnDYWCe48W6pFQ6MbQHQ2ZSKXk6gBrMFAp1FX1zT1y3Z8LYvPXhunFqCNc3gS",
            0,
        ),
        (
            "binary numbers",
            Tar::default().raw(&summed(binary), b"").end(),
            "tar:8fT2vMFfsPkYRs4p95Whg3CJcEavCK3fH3fhNRtKusiYzkpF37Wr4xS2twUtBbwYYw",
            0,
        ),
        (
            "a prefix",
            Tar::default().raw(&summed(prefixed), b"abc").end(),
            "tar:4cv8aFUxe3h5RmKgFha3ZF2omEADt3p3sBG2mY6BJBWNoNNz7ASdMxZPGxhapLAZh2",
            0,
        ),
        (
            "odd modes, and a file with a link's text",
            Tar::default()
                .entry("setuid", b"x", Said { mode: 0o104_755, ..Said::default() })
                .entry("linked", b"x", Said { link: "elsewhere", ..Said::default() })
                .end(),
            "tar:A2wKYLDHYMGQpQnUPByN3mUJ9Ye7cCAdQXuwskPZyMqVRY4rApEAQHs26XcxaBWauv",
            0,
        ),
    ]
}

pub fn with_root() -> Tar {
    Tar::default()
        .directory("./", 0o755)
        .directory("./bin/", 0o755)
        .program("./bin/tool", b"the tool\n")
        .file("./read me", b"read me\n")
}

fn reordered() -> Tar {
    Tar::default()
        .file("./read me", b"read me\n")
        .program("bin//tool", b"the tool\n")
        .directory("bin", 0o755)
        .directory(".", 0o755)
}

/// Where an order of paths without the `/` of directories differs.
pub fn alike() -> Tar {
    let tar = Tar::default().file("a", b"1").file("ab", b"2").file("a-/x", b"3").file("a.d/x", b"4").file("a0", b"5");
    tar.file("ab-c/x", b"6").file("a.d-", b"7").file("b/a.x", b"8").file("b/a/x", b"9").file("b/a0", b"0")
}

#[test]
fn the_ware_of_a_tar_is_the_hash_of_what_is_in_it() {
    for (what, bytes, ware, uncovered) in sound() {
        let scanned = scan(&bytes[..], LIMITS).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((scanned.ware.as_str(), scanned.uncovered), (ware, uncovered), "{what}");
    }
}

#[test]
fn all_but_links_changes_the_ware() {
    let ware = |tar: Tar| scan(&tar.end()[..], LIMITS).unwrap().ware;
    let base = |link| with_root().link(b'2', "./link", link);
    // The tools of the Timeless Stack accept either for the other.
    assert_eq!(ware(base("a")), ware(base("/etc/passwd")));
    let mut seen = std::collections::HashSet::from([ware(with_root())]);
    let with = |records: &[(&str, &str)]| with_root().pax(b'x', records).file("more", b"x");
    for other in [
        with_root().file("more", b"x"),
        with_root().file("more", b"y"),
        with_root().file("mort", b"x"),
        with_root().program("more", b"x"),
        with(&[("mtime", "7")]),
        with(&[("mtime", "7.000000001")]),
        with(&[("uid", "7")]),
        with(&[("gid", "7")]),
        with(&[("SCHILY.xattr.user.a", "7")]),
    ] {
        assert!(seen.insert(ware(other.clone())), "{other:?}");
    }
}

/// Tars that are refused, and why.
fn unsound() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let one = || Tar::default().file("a", b"a");
    let sparse = |key| Tar::default().pax(b'x', &[(key, "0")]).file("a", b"a").end();
    let negative = Tar::default().pax(b'x', &[("size", "-1")]).file("a", b"a").end();
    let mut wrong = header(b"a", 0, Said::default());
    wrong[0] = b'b';
    let squeezed = gzip(&with_root().end());
    vec![
        ("the same twice", one().file("./a", b"a").end(), "\"a\" is there twice"),
        ("a directory twice", one().directory("b", 0o755).directory("b/", 0o755).end(), "\"b\" is there twice"),
        ("a file and a directory", one().directory("a", 0o755).end(), "\"a\" is there twice"),
        ("a file where a directory is", one().file("b/c", b"").file("b", b"").end(), "\"b\" is there twice"),
        ("a link where a file is", one().link(b'2', "a", "b").end(), "\"a\" is there twice"),
        ("below a file", one().file("a/b", b"").end(), "which is no directory"),
        ("below a link", one().link(b'2', "l", "/etc").file("l/passwd", b"").end(), "which is no directory"),
        ("no directory as root", Tar::default().file(".", b"").end(), "its outermost directory is no directory"),
        ("out of it", one().file("a/../../b", b"").end(), "leads out of it"),
        ("out of it by a record", one().pax(b'x', &[("path", "../b")]).file("b", b"").end(), "leads out of it"),
        ("absolute", one().file("/etc/passwd", b"").end(), "leads out of it"),
        ("a link out of it", one().link(b'2', "../l", "x").end(), "leads out of it"),
        ("ends in a file", Tar::default().file("a", &[7; 600]).open()[..1024].to_vec(), "in the middle of a file"),
        ("ends in a header", one().open()[..300].to_vec(), "in the middle of a header"),
        ("ends in its compression", squeezed[..squeezed.len() / 2].to_vec(), "its compression is damaged"),
        ("ends in a record", Tar::default().pax(b'x', &[("path", "x")]).open()[..520].to_vec(), "in the middle"),
        ("a wrong sum", Tar::default().raw(&wrong, b"").end(), "sum is wrong"),
        ("no tar", [b'x'; 2048].to_vec(), "malformed"),
        ("nothing", Vec::new(), "it is empty"),
        ("only its end", Tar::default().end(), "it is empty"),
        ("more after a block of zeros", [vec![0; 512], one().end()].concat(), "something follows"),
        (
            "a sparse file of GNU",
            one().entry("s", b"", Said { flag: b'S', magic: GNU, ..Said::default() }).end(),
            "sparse",
        ),
        ("a sparse file by records", sparse("GNU.sparse.major"), "\"a\" is a sparse file"),
        ("a sparse file by old records", sparse("GNU.sparse.offset"), "\"a\" is a sparse file"),
        (
            "a type that nobody knows",
            one().entry("v", b"", Said { flag: b'V', ..Said::default() }).end(),
            "unknown type",
        ),
        (
            "a record without its length",
            one().entry("pax", b"path=x\n", Said { flag: b'x', ..Said::default() }).end(),
            "PAX",
        ),
        ("a negative size", negative, "negative"),
        ("bzip2", b"BZh91AY&SY".to_vec(), "compressed with bzip2"),
        ("xz", b"\xfd7zXZ\0\0\0".to_vec(), "compressed with xz"),
        ("zstd", b"\x28\xb5\x2f\xfd\0\0\0".to_vec(), "compressed with zstd"),
    ]
}

#[test]
fn what_is_ambiguous_or_damaged_has_no_ware() {
    for (what, bytes, why) in unsound() {
        let error = scan(&bytes[..], LIMITS).expect_err(what).to_string();
        assert!(error.contains(why), "{what}: {error}");
    }
}

#[test]
fn what_is_read_of_a_tar_is_bounded() {
    let refused = |bytes: &[u8], limits: ScanLimits| scan(bytes, limits).unwrap_err().to_string();
    // 64 MiB of zeros are 64 KiB.
    let bomb = gzip(&Tar::default().file("zeros", &vec![0; 64 << 20]).end());
    assert!(refused(&bomb, LIMITS).contains("1000 bytes for each byte"), "{}", bomb.len());
    let more = ScanLimits { ratio: 2000, ..LIMITS };
    assert!(scan(&bomb[..], more).is_ok());
    assert!(refused(&bomb, ScanLimits { bytes: 1 << 20, ..more }).contains("1048576 bytes once it is decompressed"));
    // Directories that nothing describes count as well.
    let many = Tar::default().file("a/b/c/d", b"").end();
    assert!(scan(&many[..], ScanLimits { entries: 5, ..LIMITS }).is_ok());
    assert!(refused(&many, ScanLimits { entries: 4, ..LIMITS }).contains("4 entries"));
    assert!(refused(&many, ScanLimits { memory: 600, ..LIMITS }).contains("600 bytes of names"));
    let deep = vec!["d"; 2000].join("/");
    let deep = Tar::default().pax(b'x', &[("path", &deep)]).file("x", b"").end();
    assert!(scan(&deep[..], LIMITS).is_ok());
    assert!(refused(&deep, ScanLimits { memory: 1 << 20, ..LIMITS }).contains("bytes of names"));
    let long = Tar::default().pax(b'x', &[("path", &"n".repeat(5000))]).file("x", b"").end();
    assert!(refused(&long, LIMITS).contains("4096 bytes of path"));
    let huge = Tar::default().pax(b'x', &[("comment", &"n".repeat(2 << 20))]).file("x", b"").end();
    assert!(refused(&huge, LIMITS).contains("for one entry"));
}

#[test]
fn the_command_prints_the_ware_and_what_it_does_not_cover() {
    let person = Person::new();
    let tar = with_root().link(b'2', "./l", "x").link(b'6', "./f", "").end();
    person.write("tool.tgz", &gzip(&tar)).write("plain.tar", &with_root().end()).write("bad.tar", b"BZh9");
    let run = |arguments: &str| larder(&format!("catalog ware {arguments}")).within(&person.path("."));
    let ware = scan(&tar[..], LIMITS).unwrap().ware;
    let shown = run("tool.tgz").ok();
    assert_eq!(shown.stdout, format!("{ware}\n"));
    assert!(shown.stderr.contains("2 links, devices or FIFOs in tool.tgz are not covered"), "{}", shown.stderr);
    let plain = run("plain.tar").ok();
    assert_eq!((plain.stdout, plain.stderr), (format!("{ware}\n"), String::new()));
    let json = run("tool.tgz --json").ok().json();
    assert_eq!(
        (json["ware"].as_str(), json["entries"].as_u64(), json["uncovered"].as_u64()),
        (Some(ware.as_str()), Some(6), Some(2))
    );
    assert_eq!(run("bad.tar --json").exits(1).error()["code"], "WARE_UNKNOWN");
}

#[test]
fn releases_are_listed_with_the_wares_of_their_tars() {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    let (tar, commit) = (with_root().end(), format!("git:{:040x}", 7));
    author.write("dist/tool.tar.gz", &gzip(&tar)).write("dist/notes", b"read me");
    let add = format!("add {NAME} v1.0 dist -k author.key --ware auto --ware src={commit}");
    author.catalog(&server, &add).ok();
    let items = author.catalog(&server, &format!("show {NAME}:v1.0 --json")).ok().json()["items"].clone();
    let ware = scan(&tar[..], LIMITS).unwrap().ware;
    let wanted = serde_json::json!({
        "tool.tar.gz": {"file": "tool.tar.gz", "ware": ware}, "notes": {}, "src": {"ware": commit},
    });
    assert_eq!(items, wanted);
    // What is published already is read from the server.
    server.larder("publish other/tool dist").within(&author.path(".")).ok();
    let add = format!("add {NAME} v1.1 --from other/tool --item linux=tool.tar.gz -k author.key --ware auto");
    author.catalog(&server, &add).ok();
    let items = author.catalog(&server, &format!("show {NAME}:v1.1 --json")).ok().json()["items"].clone();
    assert_eq!(items, serde_json::json!({"linux": {"file": "tool.tar.gz", "ware": ware}}));
    // Files are fetched as before, wares or not.
    let reader = reader(&author);
    reader.reads(&server.url(), &format!("fetch {NAME}:v1.0 -o out --verify-key author.pub")).ok();
    assert_eq!(names(&reader.path("out")), ["notes", "tool.tar.gz"]);
    // Nothing is published that cannot be listed as it was asked for.
    author.write("bad/tool.tar", b"no tar");
    let refused = author.catalog(&server, &format!("add {NAME} v2.0 bad -k author.key --ware auto --json")).exits(1);
    assert_eq!(refused.error()["code"], "WARE_UNKNOWN");
    assert_eq!(server.get(&format!("/manifests/{NAME}/v2.0")).unwrap().status, 404);
}

#[test]
#[ignore = "needs python3: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn another_program_computes_the_same() {
    let directory = TempDir::new().unwrap();
    let mut paths = Vec::new();
    for (at, (_, bytes, ..)) in sound().into_iter().enumerate() {
        paths.push(directory.path().join(format!("{at:02}.tar")));
        fs::write(&paths[at], bytes).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/fixtures/ware.py");
    let output = std::process::Command::new("python3").arg(script).args(&paths).output().expect("install python3");
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    for ((what, bytes, ..), ware) in sound().into_iter().zip(shown.lines()) {
        let Scanned { ware: own, .. } = scan(&bytes[..], LIMITS).unwrap();
        assert_eq!(own.as_str(), ware, "{what}");
    }
    assert_eq!(shown.lines().count(), sound().len());
}
