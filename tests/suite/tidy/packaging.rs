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
    assert!(dockerfile.contains("cargo build --release --locked"));
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
}

#[test]
fn the_image_is_built_from_everything_that_the_manifest_names() {
    let (dockerfile, context) = (read("Dockerfile"), read(".dockerignore"));
    for part in ["src", "migrations", "benches", "tests"] {
        assert!(dockerfile.contains(&format!("\nCOPY {part} {part}\n")), "{part} is not copied");
        assert!(context.contains(&format!("\n!{part}\n")), "{part} is not in the context");
    }
}

#[test]
fn the_changelog_has_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("CHANGELOG.md").contains(&format!("\n## [{version}]")), "no entry for {version}");
}
