//! Replays: the module that made a release. Its exports are the release's items.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::catalog::Item;
use crate::domain::json::{JsonError, Members, Tree, strict};
use crate::domain::text::Escaped;

/// Maximum size of a module, in bytes.
pub const MAX_MODULE: u64 = 1 << 20;

/// What is known of a module: what goes into it, and what comes out. The steps between are its reader's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    /// What each slot is filled with, such as `catalog:MODULE:RELEASE:ITEM`.
    pub imports: BTreeMap<String, String>,
    /// The slot that each product comes from, such as `build.bin`.
    pub exports: BTreeMap<String, String>,
}

/// How the products of a module differ from the items of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Products that the release does not have.
    pub unlisted: Vec<String>,
    /// Items that the module does not make.
    pub unmade: Vec<String>,
}

impl Module {
    /// Reads a module of at most [`MAX_MODULE`] bytes.
    ///
    /// # Errors
    /// Where it is not JSON, or has a member twice, or imports or exports that are not texts.
    pub fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        let wrong = |why: &str| JsonError::Malformed(why.to_owned());
        if bytes.len() as u64 > MAX_MODULE {
            return Err(JsonError::Malformed(format!("it has more than {MAX_MODULE} bytes")));
        }
        let tree: Tree = strict(bytes)?;
        let module = tree.as_object().ok_or_else(|| wrong("it is not an object"))?;
        let is_module = ["imports", "steps", "exports"].iter().any(|part| module.get(part).is_some());
        if !is_module {
            return Err(wrong("it has neither `imports` nor `steps` nor `exports`, so it is no module"));
        }
        Ok(Self { imports: texts(module, "imports")?, exports: texts(module, "exports")? })
    }

    /// The names of the other modules whose releases are imported.
    #[must_use]
    pub fn sources(&self) -> BTreeSet<&str> {
        self.imports.values().filter_map(|import| import.strip_prefix("catalog:")?.split(':').next()).collect()
    }

    /// Compares the products with the items of a release. `None` if they have the same names.
    #[must_use]
    pub fn mismatch(&self, items: &BTreeMap<String, Item>) -> Option<Mismatch> {
        let unlisted: Vec<_> = self.exports.keys().filter(|name| !items.contains_key(*name)).cloned().collect();
        let unmade: Vec<_> = items.keys().filter(|name| !self.exports.contains_key(*name)).cloned().collect();
        (!unlisted.is_empty() || !unmade.is_empty()).then_some(Mismatch { unlisted, unmade })
    }
}

fn texts(module: &Members<'_>, part: &str) -> Result<BTreeMap<String, String>, JsonError> {
    let wrong = || JsonError::Malformed(format!("`{part}` is not a map of texts"));
    match module.get(part) {
        None | Some(Tree::Null) => Ok(BTreeMap::new()),
        Some(Tree::Object(map)) => {
            map.iter().map(|(key, value)| Ok((key.to_owned(), value.as_text().ok_or_else(wrong)?.to_owned()))).collect()
        }
        Some(_) => Err(wrong()),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| {
            let names: Vec<_> = names.iter().take(10).map(|name| format!("{}", Escaped::new(name))).collect();
            names.join(", ")
        };
        let parts =
            [("it makes", "which the release does not have", &self.unlisted), ("it does not make", "", &self.unmade)];
        let mut separator = "";
        for (verb, relative, names) in parts.iter().filter(|(.., names)| !names.is_empty()) {
            let comma = if relative.is_empty() { "" } else { ", " };
            let more = names.len().saturating_sub(10);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            write!(f, "{separator}{verb} {}{more}{comma}{relative}", list(names))?;
            separator = "; ";
        }
        Ok(())
    }
}
