//! What a dynamic release says about running it.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Runtime {
    #[serde(default)]
    command: Value,
    #[serde(default)]
    port: Value,
}

/// `command` and `port` of a release, as they were published; `null` where they are absent. What they mean is a matter
/// between its publisher and who runs it.
#[must_use]
pub fn command_and_port(bytes: &[u8]) -> (Value, Value) {
    serde_json::from_slice(bytes).map_or((Value::Null, Value::Null), |Runtime { command, port }| (command, port))
}
