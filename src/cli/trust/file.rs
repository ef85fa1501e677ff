//! The file that says which keys and identities may sign which names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::{CliError, signing};
use crate::domain::attestation::{
    Identity, KeyError, KeyId, MAX_TRUSTED_ROOT, PublicKey, Requirement, RequirementError, TrustedRoot,
};
use crate::domain::{ManifestName, NamePattern};

/// A public key: the key itself, or a file with it. Read when it is needed, not when arguments are parsed.
pub(in crate::cli) fn key(text: &str) -> Result<PublicKey, CliError> {
    let refused = |why: String| CliError::usage(format!("--verify-key {text}: {why}."));
    match text.parse() {
        Ok(key) => Ok(key),
        Err(_) if Path::new(text).is_file() => {
            signing::text_of(Path::new(text))?.parse().map_err(|error: KeyError| refused(error.to_string()))
        }
        Err(error) => Err(refused(format!("{error}, and there is no such file"))),
    }
}

/// The trusted roots of sigstore in a file.
pub(super) fn trusted_root(path: &Path) -> Result<TrustedRoot, CliError> {
    let read = || {
        let mut text = String::new();
        File::open(path)?.take(MAX_TRUSTED_ROOT + 1).read_to_string(&mut text).map(|_| text)
    };
    let text = read().map_err(|error| CliError::io(format_args!("read {}", path.display()), &error))?;
    TrustedRoot::parse(&text, path).map_err(|error| CliError::usage(format!("{}: {error}.", path.display())))
}

/// The directory for what is kept about keys, if it is known.
pub(super) fn directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    Some(base.or_else(|| set("HOME").map(|home| home.join(".config")))?.join("larder"))
}

/// `[[trust]]`: keys and identities for some names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The names.
    pub(super) scope: NamePattern,
    /// The keys that count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<PublicKey>,
    /// How many of them, and of the identities, must have signed.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    threshold: usize,
    /// Keys among them that count no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<KeyId>,
    /// The file with the trusted roots of sigstore, seen from where the trust file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sigstore_root: Option<PathBuf>,
    /// The identities whose bundles count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    identities: Vec<Identity>,
    /// Addresses of the servers that the entry is for; all, if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    servers: Vec<String>,
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it a reference")]
fn is_one(threshold: &usize) -> bool {
    *threshold == 1
}

impl Entry {
    /// The entry for a name whose key is trusted because it is the first one that was seen.
    pub(super) fn first_use(name: &ManifestName, key: PublicKey, servers: &[String]) -> Self {
        let scope = name.as_str().parse().unwrap_or_else(|_| NamePattern::any());
        let (revoked, sigstore_root, identities) = (Vec::new(), None, Vec::new());
        let servers = servers.iter().map(|server| server.trim_end_matches('/').to_owned()).collect();
        Self { scope, keys: vec![key], threshold: 1, revoked, sigstore_root, identities, servers }
    }

    /// What serials belong to: stays the same when keys change.
    pub(super) fn id(&self) -> String {
        let servers = self.servers.join(",");
        if servers.is_empty() { self.scope.to_string() } else { format!("{} at {servers}", self.scope) }
    }

    fn requirement(&self, root: Option<TrustedRoot>) -> Result<Requirement, RequirementError> {
        // A threshold of none would accept everything.
        Requirement::with_identities(
            (self.threshold.max(1), true),
            (self.keys.clone(), self.revoked.clone()),
            (self.identities.clone(), root),
        )
    }

    fn is_for(&self, name: &ManifestName, server: &str) -> bool {
        let same = |one: &String| one.trim_end_matches('/') == server.trim_end_matches('/');
        self.scope.matches(name) && (self.servers.is_empty() || self.servers.iter().any(same))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    trust: Vec<Entry>,
}

/// A file with entries, the first of which that fits counts.
pub(super) struct TrustFile {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl TrustFile {
    /// Reads the file. `may_lack` says whether it may be missing.
    pub(super) fn read(path: PathBuf, may_lack: bool) -> Result<Self, CliError> {
        if may_lack && !path.exists() {
            return Ok(Self { path, entries: Vec::new() });
        }
        let text = signing::text_of(&path)?;
        let document: Document = toml::from_str(&text)
            .map_err(|error| CliError::usage(format!("{} cannot be read: {}", path.display(), error.message())))?;
        Ok(Self { path, entries: document.trust })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the serials of what was accepted are kept: beside it.
    pub(super) fn state_path(&self) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".serials.json");
        path.into()
    }

    /// What an entry requires.
    pub(super) fn requirement(&self, entry: &Entry) -> Result<Requirement, CliError> {
        let beside = |file: &PathBuf| self.path.parent().map_or_else(|| file.clone(), |directory| directory.join(file));
        let root = entry.sigstore_root.as_ref().map(|file| trusted_root(&beside(file))).transpose()?;
        entry.requirement(root).map_err(|error| {
            CliError::usage(format!("{}: the entry for {}: {error}.", self.path.display(), entry.scope))
        })
    }

    /// Whether anybody may sign by an identity.
    pub(super) fn has_identities(&self) -> bool {
        self.entries.iter().any(|entry| !entry.identities.is_empty())
    }

    /// The entry for a name at the first of these servers that has one: they are asked for the same.
    pub(super) fn entry_for(&self, name: &ManifestName, servers: &[String]) -> Option<&Entry> {
        // An entry without servers is for copies as well, which came from somewhere.
        let anywhere = [String::new()];
        let servers = if servers.is_empty() { &anywhere } else { servers };
        servers.iter().find_map(|server| self.entries.iter().find(|entry| entry.is_for(name, server)))
    }

    /// Adds an entry behind those that there are, whose text stays as people wrote it.
    pub(super) fn add(&self, entry: &Entry) -> Result<(), CliError> {
        let text = toml::to_string(&Document { trust: vec![entry.clone()] }).map_err(anyhow::Error::from)?;
        let add = || -> io::Result<()> {
            if let Some(directory) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                std::fs::create_dir_all(directory)?;
            }
            let mut file: File = OpenOptions::new().create(true).append(true).open(&self.path)?;
            // In one write, so that two commands do not mix their entries.
            file.write_all(format!("\n{text}").as_bytes())?;
            file.sync_all()
        };
        add().map_err(|error| CliError::io(format_args!("write {}", self.path.display()), &error))
    }
}
