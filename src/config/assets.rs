//! `[assets]`: the addresses below `/assets/` of clients and publishers that know flat paths.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::access::moment;
use crate::domain::{Cas, FileName, ManifestName, NameError, Policies};

/// What stands in a name for the part of the path before the file.
const CHANNEL: &str = "{channel}";
/// Channels that names are tried out with.
const CHANNELS: [&str; 4] = ["latest", "main", "v1.2.3", "team/branch"];

/// `[assets]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Assets {
    /// How files get to clients.
    pub delivery: AssetDelivery,
    /// Since when these addresses are deprecated.
    #[serde(deserialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Timestamp>,
    /// When these addresses are expected to end.
    #[serde(deserialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub sunset: Option<Timestamp>,
    /// Which paths stand for which names.
    pub paths: Vec<AssetPath>,
}

/// How files get to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetDelivery {
    /// In place, with status 200.
    #[default]
    Stream,
    /// As `store.delivery` says, which may be a redirect.
    Store,
}

/// What makes a version visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Commit {
    /// The `version.json` that is sent last.
    #[default]
    VersionJson,
    /// Each file by itself.
    EachPut,
}

/// `[[assets.paths]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetPath {
    /// What paths begin with, behind `/assets/`; empty for all.
    #[serde(default)]
    pub prefix: String,
    /// The name that they stand for: with `{channel}` at its end, for paths `PREFIX/CHANNEL/FILE`; else for `PREFIX/FILE`.
    pub name: String,
    /// What makes a version visible.
    #[serde(default)]
    pub commit: Commit,
    /// Former beginnings of file names, and what files that begin so are called today.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
}

/// What a path below `/assets/` stands for.
#[derive(Debug, Clone)]
pub struct AssetPlace<'a> {
    /// The name.
    pub name: ManifestName,
    /// The file of the path, as it was asked for.
    pub file: FileName,
    /// The entry that matched.
    pub path: &'a AssetPath,
}

impl Assets {
    /// What a decoded path behind `/assets/` stands for; the longest prefix counts. `None` if no entry matches.
    ///
    /// # Errors
    /// A [`NameError`] if what it would stand for is no legal name.
    pub fn locate(&self, path: &str) -> Result<Option<AssetPlace<'_>>, NameError> {
        let fitting = self.paths.iter().filter_map(|entry| Some((entry, entry.split(path)?)));
        let Some((path, (channel, file))) = fitting.max_by_key(|(entry, _)| entry.prefix.len()) else {
            return Ok(None);
        };
        Ok(Some(AssetPlace { name: path.name_of(channel)?, file: file.parse()?, path }))
    }

    pub(super) fn validate(&self, policies: &Policies, problems: &mut Vec<String>) {
        for (number, path) in (1..).zip(&self.paths) {
            path.validate(number, policies, problems);
            if self.paths.iter().take(number - 1).any(|other| other.prefix == path.prefix) {
                problems.push(format!("assets.paths: entry {number} has the prefix of an earlier one"));
            }
        }
    }
}

impl AssetPath {
    /// What the file is called today, if that is something else.
    #[must_use]
    pub fn alias(&self, file: &str) -> Option<FileName> {
        let fitting = self.aliases.iter().filter_map(|(former, today)| Some((today, file.strip_prefix(&**former)?)));
        let (today, rest) = fitting.min_by_key(|(_, rest)| rest.len())?;
        format!("{today}{rest}").parse().ok()
    }

    /// The channel and the file of a path, if this entry is about it.
    fn split<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = match &*self.prefix {
            "" => path,
            prefix => path.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        match (rest.rsplit_once('/'), self.name.ends_with(CHANNEL)) {
            (Some(split), true) => Some(split),
            (None, false) => Some(("", rest)),
            _ => None,
        }
    }

    fn name_of(&self, channel: &str) -> Result<ManifestName, NameError> {
        match self.name.strip_suffix(CHANNEL) {
            Some(before) => format!("{before}{channel}").parse(),
            None => self.name.parse(),
        }
    }

    fn validate(&self, number: usize, policies: &Policies, problems: &mut Vec<String>) {
        let mut problem = |why: String| problems.push(format!("assets.paths: entry {number}: {why}"));
        if self.prefix.starts_with('/') || self.prefix.ends_with('/') || self.prefix.contains("//") {
            problem("prefix has no '/' at its ends, and no empty segment".to_owned());
        }
        let before = self.name.strip_suffix(CHANNEL);
        if before.is_some_and(|before| !(before.is_empty() || before.ends_with('/'))) {
            problem(format!("{CHANNEL} must be all that follows the last '/' of name"));
        }
        let channels: &[&str] = if before.is_some() { &CHANNELS } else { &[""] };
        for channel in channels {
            match self.name_of(channel) {
                // Publishers of flat paths cannot state a precondition.
                Ok(name) if policies.of(&name).cas == Cas::Required => {
                    return problem(format!("{name} has cas = \"required\", which its publishers could never satisfy"));
                }
                Ok(_) => {}
                Err(error) => return problem(format!("name: {error}")),
            }
        }
        for today in self.aliases.values() {
            if today.contains(['/', '\\']) || today.chars().any(char::is_control) {
                problem(format!("the alias {today:?} is not the beginning of a file name"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(text: &str) -> Assets {
        toml::from_str(text).unwrap()
    }

    const OLD: &str = r#"
        paths = [
            { prefix = "release/miren", name = "miren/{channel}" },
            { prefix = "release/runtime", name = "miren/{channel}", aliases = { "runtime-base-" = "miren-base-", "runtime-" = "miren-" } },
            { prefix = "release/main", name = "miren/main", aliases = { "release-linux-" = "miren-base-linux-" } },
            { prefix = "", name = "miren/_root", commit = "each_put" },
        ]"#;

    #[test]
    fn the_longest_prefix_that_fits_decides() {
        let assets = assets(OLD);
        let mut problems = Vec::new();
        assets.validate(&Policies::default(), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        for (path, place) in [
            ("release/miren/main/version.json", Some(("miren/main", "version.json"))),
            ("release/miren/team/branch/a.zip", Some(("miren/team/branch", "a.zip"))),
            ("release/miren/v1.2.3-rc1/a.zip", Some(("miren/v1.2.3-rc1", "a.zip"))),
            ("release/main/a.tar.gz", Some(("miren/main", "a.tar.gz"))),
            ("install.sh", Some(("miren/_root", "install.sh"))),
            ("release/miren/a.zip", None),
            ("release/mirenx/main/a.zip", None),
            ("release/main/x/a.zip", None),
            ("other/install.sh", None),
        ] {
            let found = assets.locate(path).unwrap();
            let found = found.as_ref().map(|place| (place.name.as_str(), place.file.as_str()));
            assert_eq!(found, place, "{path}");
        }
        for bad in [
            "release/miren/main:abc/a.zip",
            "release/miren/../a.zip",
            "release/miren/main/..",
            "",
            "release/miren/main/",
        ] {
            assert!(assets.locate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_former_beginning_decides() {
        let assets = assets(OLD);
        let alias = |file: &str| assets.paths[1].alias(file).map(|name| name.to_string());
        assert_eq!(alias("runtime-base-linux-amd64.tar.gz").as_deref(), Some("miren-base-linux-amd64.tar.gz"));
        assert_eq!(alias("runtime-darwin-arm64.zip").as_deref(), Some("miren-darwin-arm64.zip"));
        assert_eq!(alias("version.json"), None);
    }

    #[test]
    fn an_entry_that_cannot_work_is_refused() {
        let policies = |text: &str| {
            let config: crate::config::Config = toml::from_str(text).unwrap();
            config.policies()
        };
        let strict = policies("names = [{ match = [\"miren/**\"], cas = \"required\" }]");
        for (text, policies, why) in [
            ("name = \"miren/{channel}\"", &strict, "cas"),
            ("name = \"miren/_root\"", &strict, "cas"),
            ("name = \"x{channel}\"", &Policies::default(), "must be all that follows"),
            ("name = \"{channel}/x\"", &Policies::default(), "name:"),
            ("name = \"Miren/{channel}\"", &Policies::default(), "name:"),
            ("name = \"x\", prefix = \"/a\"", &Policies::default(), "prefix"),
            ("name = \"x\", aliases = { a = \"b/c\" }", &Policies::default(), "alias"),
        ] {
            let mut problems = Vec::new();
            assets(&format!("paths = [{{ {text} }}]")).validate(policies, &mut problems);
            assert!(problems.len() == 1 && problems[0].contains(why), "{text}: {problems:?}");
        }
    }
}
