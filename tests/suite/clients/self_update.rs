//! `examples/self_update.rs`: a program replaces itself with what is published, and goes back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use larder::domain::Digest;
use tempfile::TempDir;

use super::example;
use crate::cli::fake::{Act, Fake};
use crate::support::process::{ServerProcess, until, write_program};

/// The example as version `mark`: bytes behind the end of a program do not matter to it, but make it another one.
fn program(mark: &str) -> Vec<u8> {
    [fs::read(example("self_update")).unwrap(), mark.as_bytes().to_vec()].concat()
}

/// Publishes a program as the file `tool` of `main`.
fn publish(server: &ServerProcess, program: &[u8]) {
    let files = TempDir::new().unwrap();
    fs::write(files.path().join("tool"), program).unwrap();
    server.larder("publish main tool").within(&files).ok();
}

/// Installs a program in a new directory, as `bin/tool`, with a link to it as people have them.
fn install(program: &[u8]) -> TempDir {
    let home = TempDir::new().unwrap();
    write_program(&home.path().join("bin/tool"), program);
    std::os::unix::fs::symlink("bin/tool", home.path().join("tool")).unwrap();
    home
}

/// Runs the installed program, by the link; returns its exit status and what it said.
fn run(home: &TempDir, server: &str, arguments: &str) -> (Option<i32>, String) {
    let mut tool = Command::new(home.path().join("tool"));
    tool.args(arguments.split(' ')).env("LARDER_SERVER", server).env("SELF_UPDATE_FILE", "tool");
    let output = tool.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn installed(home: &TempDir) -> Digest {
    assert!(home.path().join("tool").is_symlink());
    let path = home.path().join("bin/tool");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    Digest::of(&fs::read(path).unwrap())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_program_upgrades_itself_keeps_the_old_one_and_goes_back_and_forth() {
    let server = ServerProcess::start();
    let (first, second) = (program("1"), program("2"));
    publish(&server, &first);
    let home = install(&first);
    assert_eq!(run(&home, &server.url(), "check main").0, Some(0));
    publish(&server, &second);
    assert_eq!(run(&home, &server.url(), "check main").0, Some(10));
    assert_eq!(run(&home, &server.url(), "rollback").0, Some(1));

    let (code, said) = run(&home, &server.url(), "upgrade main");
    assert_eq!((code, installed(&home)), (Some(0), Digest::of(&second)), "{said}");
    assert_eq!(names(&home.path().join("bin")), [".tool.lock", ".tool.old", "tool"]);
    assert_eq!(run(&home, &server.url(), "upgrade main"), (Some(0), format!("up to date: {}\n", Digest::of(&second))));

    // Without the server: that is when it is needed.
    for expected in [&first, &second, &first] {
        let (code, said) = run(&home, "http://127.0.0.1:1", "rollback");
        assert_eq!((code, installed(&home)), (Some(0), Digest::of(expected)), "{said}");
    }
    assert_eq!(run(&home, &server.url(), "upgrade main@1").0, Some(0));
}

#[test]
fn what_does_not_run_or_is_damaged_is_never_installed() {
    let server = ServerProcess::start();
    let (first, second) = (program("1"), program("2"));
    let home = install(&first);
    publish(&server, b"for another machine");
    let (code, said) = run(&home, &server.url(), "upgrade main");
    assert!(code == Some(1) && said.contains("nothing was changed"), "{said}");

    publish(&server, &second);
    let address = server.address;
    let damaging = Fake::start(move |request, _| {
        let mut reply = request.pass_on(address);
        if request.is("GET", "/blobs/") {
            reply.body[100] ^= 1;
        }
        Act::Answer(reply)
    });
    let (code, said) = run(&home, &damaging.url(), "upgrade main");
    assert!(code == Some(1) && said.contains("is damaged"), "{said}");
    assert_eq!(
        (installed(&home), names(&home.path().join("bin"))),
        (Digest::of(&first), vec![".tool.lock".to_owned(), "tool".to_owned()])
    );
}

#[test]
fn an_upgrade_that_is_killed_leaves_the_program_as_it_was_and_can_be_repeated() {
    let server = ServerProcess::start();
    let (first, second) = (program("1"), program("2"));
    publish(&server, &second);
    let home = install(&first);
    let address = server.address;
    let stalling = Fake::start(move |request, _| {
        let reply = request.pass_on(address);
        if request.is("GET", "/blobs/") { Act::Stall(reply, 1 << 20) } else { Act::Answer(reply) }
    });
    let mut tool = Command::new(home.path().join("tool"));
    tool.args(["upgrade", "main"]).env("LARDER_SERVER", stalling.url()).env("SELF_UPDATE_FILE", "tool");
    let mut upgrade = tool.spawn().unwrap();
    let part = home.path().join("bin/.tool.new");
    until("a part of the program", || fs::metadata(&part).is_ok_and(|part| part.len() > 0));
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    assert_eq!(installed(&home), Digest::of(&first));

    let (code, said) = run(&home, &server.url(), "upgrade main");
    assert_eq!((code, installed(&home)), (Some(0), Digest::of(&second)), "{said}");
    assert_eq!(names(&home.path().join("bin")), [".tool.lock", ".tool.old", "tool"]);
}

#[test]
fn a_second_upgrade_at_the_same_time_waits_for_nothing_and_changes_nothing() {
    let server = ServerProcess::start();
    let (first, second) = (program("1"), program("2"));
    publish(&server, &second);
    let home = install(&first);
    let lock = fs::File::create(home.path().join("bin/.tool.lock")).unwrap();
    lock.lock().unwrap();
    let (code, said) = run(&home, &server.url(), "upgrade main");
    assert!(code == Some(1) && said.contains("another upgrade is under way"), "{said}");
    assert_eq!(installed(&home), Digest::of(&first));
    drop(lock);
    assert_eq!(run(&home, &server.url(), "upgrade main").0, Some(0));
}
