//! `mirrors.tl`: where the wares of a module may be found.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::text::{Distinct, Node};
use crate::domain::catalog::Document;
use crate::domain::json::JsonError;

/// The name of the file.
pub const MIRRORS_FILE: &str = "mirrors.tl";

type Addresses = BTreeMap<String, Vec<String>>;

/// A list of mirrors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Mirrors {
    /// Addresses of warehouses by the type of ware. Linters warn of it.
    #[serde(default, deserialize_with = "addresses")]
    pub by_pack_type: Addresses,
    /// The same for each module.
    #[serde(default, deserialize_with = "modules")]
    pub by_module: BTreeMap<String, Addresses>,
    /// Addresses of single wares.
    #[serde(default, deserialize_with = "addresses")]
    pub by_ware: Addresses,
}

impl Mirrors {
    /// Reads a list of at most 4 MiB.
    ///
    /// # Errors
    /// As for lineages.
    pub fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        super::read(bytes)
    }

    /// Writes it in the canonical form: what is empty is left out.
    #[must_use]
    pub fn write(&self) -> String {
        let modules = self.by_module.iter().map(|(module, map)| (module.as_str(), node(map)));
        let parts = [
            ("byPackType", node(&self.by_pack_type)),
            ("byModule", Node::Map(modules.collect())),
            ("byWare", node(&self.by_ware)),
        ];
        let is_there = |part: &(&str, Node<'_>)| matches!(&part.1, Node::Map(members) if !members.is_empty());
        Node::Map(parts.into_iter().filter(is_there).collect()).document()
    }

    /// The warehouses of a catalog, and `own`, a warehouse of the server for each of these types of ware.
    #[must_use]
    pub fn of(document: &Document, own: &[(&str, String)]) -> Self {
        let mut warehouses = document.warehouses.clone();
        for (kind, address) in own {
            let addresses = warehouses.entry((*kind).to_owned()).or_default();
            if addresses.iter().all(|known| known.trim_end_matches('/') != address) {
                addresses.push(address.clone());
            }
        }
        warehouses.retain(|_, addresses| !addresses.is_empty());
        let by_module = if warehouses.is_empty() {
            BTreeMap::new()
        } else {
            BTreeMap::from([(document.name.to_string(), warehouses)])
        };
        Self { by_module, ..Self::default() }
    }
}

fn node(map: &Addresses) -> Node<'_> {
    Node::Map(map.iter().map(|(key, list)| (key.as_str(), Node::list(list))).collect())
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Addresses, D::Error> {
    Ok(Option::<Distinct<Vec<String>>>::deserialize(deserializer)?.map(|Distinct(map)| map).unwrap_or_default())
}

fn modules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Addresses>, D::Error> {
    let modules = Option::<Distinct<Distinct<Vec<String>>>>::deserialize(deserializer)?;
    let modules = modules.map(|Distinct(map)| map).unwrap_or_default();
    Ok(modules.into_iter().map(|(module, Distinct(map))| (module, map)).collect())
}
