//! `larder check-config`

use serde_json::{Map, Value, json};

use super::settings::Settings;
use super::table::{Column, Table};
use super::{CliError, Context, output};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, NameRule};
use crate::domain::{ManifestName, NamePolicy};

/// Arguments of `larder check-config`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prints the configuration as it takes effect: defaults, then the file, then the environment, then flags. With \
--name it prints the policy of one name instead, and which rule each value comes from. Exits with 2 and names \
every problem if it is not valid. Opens no store and no port.

Examples:
  larder check-config
  larder check-config --config /etc/larder.toml
  larder check-config --config /etc/larder.toml --name miren/main"
)]
pub struct Args {
    /// Show the policy of this name in place of the configuration
    #[arg(long, value_name = "NAME")]
    name: Option<ManifestName>,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let config = args.settings.load()?;
    for remark in config.remarks(SystemClock.now()) {
        output::note(format_args!("{remark}."));
    }
    if let Some(name) = &args.name {
        return show_policy(&config, name, context);
    }
    if context.json {
        return output::json(&config);
    }
    let text = toml::to_string_pretty(&config).map_err(anyhow::Error::from)?;
    output::bytes(text.as_bytes())
}

fn show_policy(config: &Config, name: &ManifestName, context: &Context) -> Result<(), CliError> {
    let settings = settings_of(config, name)?;
    if context.json {
        let show = |setting: Setting| {
            let shown = json!({"value": setting.value, "rule": setting.rule, "pattern": setting.pattern});
            (setting.key.to_owned(), shown)
        };
        let policy: Map<_, _> = settings.into_iter().map(show).collect();
        return output::json(&json!({"name": name, "policy": policy}));
    }
    let mut table = Table::new(&[Column::whole("KEY"), Column::text("VALUE", 10), Column::text("FROM", 20)]);
    for Setting { key, value, rule, pattern } in settings {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let from = match (rule, pattern) {
            (Some(rule), Some(pattern)) => format!("rule {rule} of [[names]], {pattern}"),
            _ => "default".to_owned(),
        };
        table.add([key.to_owned(), value, from]);
    }
    output::line(table.render())
}

/// One key of a policy, with the origin of its value.
struct Setting {
    key: &'static str,
    value: Value,
    /// Number of the rule that sets it, from 1; `None` for the default.
    rule: Option<usize>,
    /// The pattern of that rule, which matches the name.
    pattern: Option<String>,
}

fn settings_of(config: &Config, name: &ManifestName) -> Result<Vec<Setting>, CliError> {
    let written = |rule: &NameRule| serde_json::to_value(rule).map_err(anyhow::Error::from);
    let (policies, defaults) = (config.policies(), written(&NameRule::setting_all(vec![], &NamePolicy::default()))?);
    let mut settings = Vec::new();
    for (key, source) in policies.sources(name) {
        let rule = match source {
            Some(at) => written(&config.names[at])?,
            None => defaults.clone(),
        };
        let pattern = source.and_then(|at| policies.rules()[at].pattern_for(name)).map(ToString::to_string);
        settings.push(Setting { key, value: rule[key].clone(), rule: source.map(|at| at + 1), pattern });
    }
    Ok(settings)
}
