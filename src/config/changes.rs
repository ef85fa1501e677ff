//! Comparison of configurations, and the settings that a running server can reload.

use toml::{Table, Value};

use super::{Config, Log, Server};

impl Config {
    /// This configuration with the reloadable settings of `newer`: tokens and who may read blobs, policies of names, sites
    /// and their hosts, and logging.
    #[must_use]
    pub fn reloaded(&self, newer: &Self) -> Self {
        let log = Log { filter: newer.log.filter.clone(), format: self.log.format };
        let server = Server { api_hosts: newer.server.api_hosts.clone(), ..self.server.clone() };
        let (access, names, sites) = (newer.access.clone(), newer.names.clone(), newer.sites.clone());
        Self { server, access, names, sites, log, ..self.clone() }
    }

    /// The keys whose values differ, as `section.key`.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let table = |config: &Self| Table::try_from(config).unwrap_or_default();
        let mut keys = Vec::new();
        differ("", &table(self), &table(other), &mut keys);
        keys
    }
}

fn differ(prefix: &str, one: &Table, other: &Table, keys: &mut Vec<String>) {
    let only_there = other.iter().filter(|(key, _)| !one.contains_key(*key)).map(|(key, _)| key);
    for key in one.keys().chain(only_there) {
        match (one.get(key), other.get(key)) {
            (Some(Value::Table(one)), Some(Value::Table(other))) => {
                differ(&format!("{prefix}{key}."), one, other, keys);
            }
            (one, other) if one != other => keys.push(format!("{prefix}{key}")),
            _ => {}
        }
    }
}
