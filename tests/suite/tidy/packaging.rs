//! The image and the checks must say what the crate says.

use super::read;

#[test]
fn the_image_runs_as_a_number_and_reports_its_health() {
    let dockerfile = read("Dockerfile");
    let instruction = |wanted: &str| {
        let lines = dockerfile.lines().filter(|line| line.split(' ').next() == Some(wanted));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(instruction("USER"), ["USER 65532:65532"]);
    assert_eq!(instruction("ENTRYPOINT"), [r#"ENTRYPOINT ["/usr/local/bin/larder"]"#]);
    assert_eq!(instruction("CMD"), [r#"CMD ["serve", "--data", "/data", "--listen", "0.0.0.0:8080"]"#]);
    assert_eq!(instruction("HEALTHCHECK").len(), 1);
    assert!(dockerfile.contains(r#"CMD ["larder", "healthcheck", "--url", "http://127.0.0.1:8080/readyz"]"#));
    assert!(dockerfile.contains("cargo build --profile dist --locked"));
    assert!(dockerfile.contains("cp target/dist/larder "), "what is shipped is built with the profile for that");
}

#[test]
fn no_image_is_taken_as_whatever_is_newest() {
    let dockerfile = read("Dockerfile");
    let bases: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(bases.len(), 2, "{bases:?}");
    for base in bases {
        let image = base.split(' ').next().unwrap();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest"), "{image} names no version");
    }
}

#[test]
fn the_image_is_built_with_the_version_of_rust_that_the_crate_asks_for() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let version = manifest["package"]["rust-version"].as_str().unwrap();
    assert!(read("Dockerfile").contains(&format!("FROM rust:{version}-")), "the builder is not rust:{version}");
    let workflow = read(".github/workflows/ci.yml");
    assert!(workflow.contains(&format!("container: rust:{version}-slim")), "the bare machine has not rust:{version}");
    assert!(workflow.contains(&format!("RUST_VERSION: \"{version}\"")), "the checks have not rust:{version}");
}

#[test]
fn the_image_is_built_from_everything_that_the_manifest_names() {
    let (dockerfile, context) = (read("Dockerfile"), read(".dockerignore"));
    for part in ["src", "migrations", "benches", "examples", "tests"] {
        assert!(dockerfile.contains(&format!("\nCOPY {part} {part}\n")), "{part} is not copied");
        assert!(context.contains(&format!("\n!{part}\n")), "{part} is not in the context");
    }
}

/// The commands of the README's quick start, without what is said of them.
fn quick_start() -> Vec<String> {
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Quick start\n").expect("a quick start");
    let block = section.split("```").nth(1).expect("a block").trim_start_matches("sh\n");
    block.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn the_checks_run_the_tests_as_the_readme_says_and_then_all_others() {
    let [serve, test] = quick_start().try_into().expect("two commands");
    assert!(serve.starts_with("cargo run --release ") && test.starts_with("cargo test"), "{serve}; {test}");
    let script = read(".ci/run");
    let steps: Vec<&str> =
        script.lines().filter_map(|line| line.strip_prefix("step '")?.split_once("' ")).map(|step| step.1).collect();
    let at = |wanted: &str| {
        steps.iter().position(|step| *step == wanted).unwrap_or_else(|| panic!("no step is `{wanted}`: {steps:#?}"))
    };
    // What the first command needs is not installed for it: it has to pass without.
    assert!(at(&test) < at("install_what_ignored_tests_need"));
    assert!(at("install_what_ignored_tests_need") < at("cargo test --locked -- --ignored"));
    let workflow = read(".github/workflows/ci.yml");
    assert!(workflow.contains("run: .ci/run\n") && workflow.contains(&format!("run: {test}\n")));
}

#[test]
fn what_is_measured_is_what_is_shipped_and_the_release_profile_is_quick_to_build() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let profile = |name: &str| manifest["profile"][name].as_table().unwrap().clone();
    let (release, dist, bench) = (profile("release"), profile("dist"), profile("bench"));
    assert_eq!(bench, toml::Table::from_iter([("inherits".to_owned(), "dist".into())]));
    assert!(!release.contains_key("lto") && dist["lto"].as_str() == Some("thin"));
    for package in release["package"].as_table().unwrap().keys() {
        let level = &dist["package"][package.as_str()]["opt-level"];
        assert_eq!(level.as_integer(), Some(3), "{package} is shipped as the quick build has it");
    }
    let lock = read("Cargo.lock");
    for package in dist["package"].as_table().unwrap().keys() {
        assert!(lock.contains(&format!("\nname = \"{package}\"\n")), "{package} is not used any more");
    }
}

#[test]
fn the_changelog_has_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("CHANGELOG.md").contains(&format!("\n## [{version}]")), "no entry for {version}");
}
