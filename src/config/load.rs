//! Loading and merging the sources of the configuration.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;
use crate::domain::utf8;

/// Prefix of environment variables; `__` separates levels.
const PREFIX: &str = "LARDER__";

/// Prefix of all variables that Larder reads.
const OURS: &str = "LARDER_";

/// Tables of former releases, and their replacements.
const REPLACED: [(&str, &str, &str); 2] = [
    ("access", "policies", "write [[names]] with match = [...] in place of its names; read and cas stay as they are"),
    (
        "collector",
        "retention",
        "write [[names]] with match = [...] in place of its names; keep_last, keep_for, staged_for and prepared_for stay",
    ),
];

/// The reason why the configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The I/O error.
        source: std::io::Error,
    },
    /// The file or a variable cannot be parsed.
    #[error("the configuration {origin} is not valid: {detail}")]
    Parse {
        /// Path of the file, or "the environment".
        origin: String,
        /// The problem and its position.
        detail: String,
    },
    /// Values that contradict each other or are out of range.
    #[error("the configuration is not valid: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// Reads the file, if any, merges the variables of `environment` into it, and validates the result.
///
/// # Errors
/// A [`ConfigError`] that names the key and its valid values.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut table = match file {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    let mut variables: Vec<_> = environment.into_iter().filter(|(key, _)| key.starts_with(OURS)).collect();
    if let Some((misspelt, right)) = variables.iter().find_map(|(key, _)| Some((key, respelt(key)?))) {
        let detail = format!("no such variable is known; a key of the configuration is written {right}");
        return Err(ConfigError::Parse { origin: format!("variable {misspelt}"), detail });
    }
    variables.retain(|(key, _)| key.starts_with(PREFIX));
    variables.sort();
    let from_environment = !variables.is_empty();
    for (key, value) in variables {
        set(&mut table, &key, &value)?;
    }
    let origin = match (file, from_environment) {
        (Some(path), false) => path.display().to_string(),
        (Some(path), true) => format!("{} with the variables {PREFIX}*", path.display()),
        (None, _) => format!("from the variables {PREFIX}*"),
    };
    refuse_replaced(&table, &origin)?;
    let config: Config = Value::Table(table).try_into().map_err(|error: toml::de::Error| ConfigError::Parse {
        origin,
        detail: error.to_string().trim().replace('\n', " "),
    })?;
    config.validate().map_err(ConfigError::Invalid)?;
    Ok(config)
}

/// The right spelling of a variable that was meant to set a key: `LARDER_SERVER__LISTEN` would be ignored. Variables
/// with single underscores belong to the commands, or to others: Kubernetes sets `LARDER_PORT` for a service of that name.
fn respelt(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix(OURS).filter(|rest| !rest.starts_with('_'))?;
    rest.contains("__").then(|| format!("{PREFIX}{rest}"))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
    let text = utf8(&bytes)
        .map_err(|error| ConfigError::Parse { origin: path.display().to_string(), detail: error.to_string() })?;
    let parse_error = |error: toml::de::Error| ConfigError::Parse {
        origin: path.display().to_string(),
        detail: match error.span() {
            Some(span) => format!("{}: {}", place(text, span.start), error.message()),
            None => error.message().to_owned(),
        },
    };
    let table = text.parse().map_err(parse_error)?;
    refuse_replaced(&table, &path.display().to_string())?;
    // Parsed again from the text into the real types: only then do errors refer to a line.
    toml::from_str::<Config>(text).map_err(parse_error)?;
    Ok(table)
}

/// Refuses tables of former releases, with a message that names their replacements.
fn refuse_replaced(table: &Table, origin: &str) -> Result<(), ConfigError> {
    let is_there = |section: &str, key: &str| {
        table.get(section).and_then(Value::as_table).is_some_and(|section| section.contains_key(key))
    };
    let old = REPLACED.iter().filter(|(section, key, _)| is_there(section, key));
    let problems: Vec<_> =
        old.map(|(section, key, advice)| format!("{section}.{key} was replaced: {advice}")).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Parse { origin: origin.to_owned(), detail: problems.join("; ") })
}

/// The line and key of a problem. Never the value, which may be a misplaced token.
fn place(text: &str, at: usize) -> String {
    let number = text[..at].matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    match line.split_once('=') {
        Some((key, _)) => format!("line {number} ({})", key.trim()),
        None => format!("line {number}"),
    }
}

fn set(table: &mut Table, variable: &str, text: &str) -> Result<(), ConfigError> {
    let error = |detail: &str| ConfigError::Parse { origin: format!("variable {variable}"), detail: detail.to_owned() };
    let path = variable[PREFIX.len()..].to_ascii_lowercase();
    let mut levels: Vec<&str> = path.split("__").collect();
    let key = levels.pop().filter(|key| !key.is_empty()).ok_or_else(|| error("it names no key"))?;
    let mut table = table;
    for level in levels {
        let entry = table.entry(level).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().ok_or_else(|| error("it reaches below a key that is not a section"))?;
    }
    table.insert(key.to_owned(), value_of(text));
    Ok(())
}

/// Numbers, booleans and lists are parsed as TOML; anything else is a string.
fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    match parsed {
        Some(value @ (Value::Integer(_) | Value::Boolean(_) | Value::Array(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}
