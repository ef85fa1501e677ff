//! What `docs/publishing.md` says works as it stands there.

use crate::readme::{blocks, commands_exist, transcript};
use crate::support::process::free_port;

const DOCS: &str = include_str!("../../../docs/publishing.md");

#[test]
#[ignore = "needs bash, curl and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_commands_in_the_docs_work_as_they_stand_there() {
    let blocks = blocks(DOCS, "sh walkthrough");
    assert_eq!(blocks.len(), 9);
    let shown = transcript(&blocks.join("\n").replace(":8080", &format!(":{}", free_port())));
    for text in [
        "followed 1 symbolic link: dist/hi\n",
        "left out 1 empty directory: dist/logs\n",
        "left out 3 excluded files and directories: dist/app.js.map, dist/docs/draft.txt, dist/logs\n",
        "\nhello\n",
        "nightly@1 sha256:",
        "installed/hello: OK\n",
        "\noverwrite  ",
        "--force replaces them",
        "matrix@1 waiting for macos, windows\n",
        "v1.4.0 (2 of 3 parts, waiting for windows)\n",
        "matrix@1 sha256:",
        "\"name\": \"tool-windows.exe\"",
        "\"waiting\":[\"linux\",\"macos\"]",
        "\"state\":\"active\"",
    ] {
        assert!(shown.contains(text), "{text:?} is missing in\n{shown}");
    }
}

#[test]
fn every_command_in_the_docs_exists() {
    assert!(commands_exist(DOCS, &["sh walkthrough"]) > 15);
}

#[test]
fn the_workflow_is_yaml_as_far_as_a_reader_of_lines_can_tell() {
    let [workflow] = &*blocks(DOCS, "yaml matrix") else { panic!("one block") };
    for line in workflow.lines() {
        let text = line.trim_start().trim_start_matches("- ");
        assert!(!line.contains('\t') && (line.len() - line.trim_start().len()) % 2 == 0, "{line:?}");
        assert!(line.trim_end() == line && text.contains(':'), "{line:?}");
        let value = text.split_once(": ").map_or("", |(_, value)| value);
        assert!(!value.contains(": ") && !value.contains(" #"), "{line:?} needs quotes");
    }
    for part in ["id-token: write", "part: linux", "part: macos", "parts: linux,macos"] {
        assert!(workflow.contains(part), "{part}");
    }
    let (_, step) = workflow.split_once("/actions/publish@COMMIT\n        with:\n").unwrap();
    let action = include_str!("../../../.github/actions/publish/action.yml");
    for line in step.lines() {
        let input = line.trim().split(':').next().unwrap();
        assert!(action.contains(&format!("\n  {input}:\n")), "{input}");
    }
}
