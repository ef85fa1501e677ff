//! The help of `larder` itself: commands in groups, and what is explained once for all of them.

use std::env::consts;
use std::sync::LazyLock;

use clap::Subcommand as _;

use super::Command;
use crate::layout::marker;

/// What `larder --version` prints after the name: the version, what it was built for, and which stores it can serve.
pub(super) fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let (version, layout) = (env!("CARGO_PKG_VERSION"), marker::CURRENT);
        format!("{version}\nplatform: {} {}\nstore layout: {layout}", consts::OS, consts::ARCH)
    });
    &TEXT
}

/// The commands by what people do with them. Every command is in exactly one group.
pub(super) const GROUPS: [(&str, &[&str]); 7] = [
    ("Publish", &["publish", "complete", "sessions", "import"]),
    ("Read", &["ls", "versions", "history", "diff", "fetch", "get", "sums"]),
    ("Manage", &["promote", "rollback", "copy", "pin", "yank", "unyank", "floor", "delete", "site"]),
    ("Sign", &["key", "sign", "attach", "attachments", "catalog"]),
    ("Serve", &["serve", "healthcheck", "check-config", "auth"]),
    ("Look after a store", &["verify", "collect", "copy-store", "migrate", "check-store"]),
    ("Shell", &["completions", "man"]),
];

/// What `larder -h` ends with.
pub(super) const SHORT: &str = "\
`larder COMMAND --help` explains a command, with examples. `larder --help` also
explains selectors, exit codes, tables and variables.";

/// What `larder --help` ends with.
pub(super) const LONG: &str = "\
Selectors:
  NAME is the active version of a name. NAME@SELECTOR is another one:
  @17                    the version with this number
  @previous              the one that was active before the active one
  @sha256:HEX            the newest one with this manifest
  @2026-05-14T18:20:00Z  the one that was active at this time
  @v1.4.0                the one with this label
  @v1                    the highest stable one in this line
  @^1.4                  the highest stable one in this range
  @stable                the highest label that is no prerelease
  @newest                the highest label
  @next                  the newest staged one
  @active                the active one

Output:
  Data goes to stdout, everything else to stderr. With --json, stdout
  is one JSON document, and so is an error on stderr. Tables are fitted
  to a terminal: digests and times are shortened, texts are cut, and
  columns that do not fit are left out. --wide shows everything; so
  does a pipe or a file, unless COLUMNS is set.

Exit codes:
  0  success
  1  failure
  2  wrong usage
  3  not found (never existed, or retired)
  4  token missing, unknown or not allowed to do this
  5  a precondition (--expect) does not hold
  6  bytes do not match their digest, or required signatures are missing
  7  unavailable after all retries; try again later
  8  done in part, damage found, or a difference (diff --exit-code)

Environment:
  LARDER_SERVER      address of the server; several with spaces in between
  LARDER_TOKEN       bearer token
  LARDER_TOKEN_FILE  file that holds the bearer token
  LARDER_ID_TOKEN    ID token of a CI job, exchanged for a bearer token
                     when none is given; the jobs of GitHub Actions and
                     Buildkite are asked for one
  LARDER_AUDIENCE    audience of that ID token (default: what the server
                     asks for, if it is its address)
  LARDER_STATE       directory with the copies of verified catalogs
  LARDER_CONFIG      configuration file of servers and stores
  LARDER_LOG         what to log on stderr, such as debug (default: warn)
  COLUMNS            width to fit tables into
  NO_COLOR           no colours in help";

/// The template of the help of `larder`, which lists the commands in their groups.
pub(super) fn template() -> String {
    let commands = Command::augment_subcommands(clap::Command::new("larder"));
    let about = |name: &str| commands.find_subcommand(name).and_then(clap::Command::get_about);
    let line = |name: &&str| format!("  {name:<13} {}\n", about(name).map(ToString::to_string).unwrap_or_default());
    let list = |(group, names): &(&str, &[&str])| {
        let lines: String = names.iter().map(line).collect();
        format!("\n{group}:\n{lines}")
    };
    let groups: String = GROUPS.iter().map(list).collect();
    format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{groups}\nOptions:\n{{options}}{{after-help}}")
}
