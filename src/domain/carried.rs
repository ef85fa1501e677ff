//! Members of a stored document that this binary does not know, preserved when the document is rewritten.
//!
//! Each head is made from its predecessor. A binary that dropped unknown members would, with its next change, undo what
//! a newer one had recorded. A member that depends on another must name that dependency, so that preserving it is
//! always correct.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Unknown members, for a field with `#[serde(flatten)]`. Usually empty, which takes no allocation.
///
/// Values are kept as JSON values, not as text: the order of members and the spelling of numbers may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried(BTreeMap<String, Value>);

impl Carried {
    /// Whether there are no unknown members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of an unknown member.
    #[must_use]
    pub fn get(&self, member: &str) -> Option<&Value> {
        self.0.get(member)
    }
}

impl Serialize for Carried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl<'de> Deserialize<'de> for Carried {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Carried;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the members of an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Carried, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((member, value)) = access.next_entry()? {
            members.insert(member, value);
        }
        Ok(Carried(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Document {
        known: u8,
        #[serde(flatten)]
        other: Carried,
    }

    #[test]
    fn unknown_members_come_back_as_they_were() {
        for text in [r#"{"known":1}"#, r#"{"known":1,"a":{"b":[1,2.5,null,"x"]},"z":18446744073709551615}"#] {
            let document: Document = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&document).unwrap(), text);
        }
        let document: Document = serde_json::from_str(r#"{"known":1,"a":2}"#).unwrap();
        assert_eq!((document.known, document.other.get("a")), (1, Some(&Value::from(2))));
        assert!(document.other.get("known").is_none() && !document.other.is_empty());
    }
}
