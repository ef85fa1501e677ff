//! Larder as others use it: the guide to clients, the library, the actions for CI systems.

mod actions;
mod component;
mod downloads;
mod guide;
mod run_hook;
mod self_update;
mod verified_setup;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

/// The file of the repository at this path.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Builds an example of the library and returns its path. The build is that of the tests, so little is left to do.
fn example(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let binaries = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
    let profile = binaries.file_name().and_then(|name| name.to_str()).map(|name| name.replace("debug", "dev")).unwrap();
    let _one = BUILDING.lock();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--offline", "--example", name, "--profile", &profile]);
    cargo.arg("--target-dir").arg(binaries.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    // What Cargo tells tests of their package would make it build again what depends on that, and so almost everything.
    let is_told = |variable: &str| variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_");
    for (variable, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_told)) {
        cargo.env_remove(variable);
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    binaries.join("examples").join(name)
}

/// Runs a script as a runner of CI jobs does, with these variables and the built binary on the `PATH`.
fn in_bash(script: &str, directory: &Path, variables: &[(String, String)]) -> Output {
    let binaries = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).current_dir(directory).stdin(Stdio::null());
    shell.env_clear().env("PATH", path).env("HOME", directory);
    shell.envs(variables.iter().map(|(name, value)| (name, value))).output().expect("install bash")
}

/// What a script printed, or a panic if it failed.
#[track_caller]
fn printed(output: &Output) -> String {
    let text = [&*output.stdout, &*output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{}\n{text}", output.status);
    text
}

/// Variables as a list that can be added to.
fn variables<const N: usize>(variables: [(&str, &str); N]) -> Vec<(String, String)> {
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
