//! JSON values as far as a lenient reader cares about them, for members that had no meaning when they were published.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// How many levels of arrays and objects are kept. What is nested deeper is skipped without recursion, as members
/// without meaning are.
const DEPTH: u8 = 2;

/// A JSON value. Deserialising never fails for valid JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loose {
    /// A string.
    Text(String),
    /// A boolean.
    Switch(bool),
    /// An array, without the elements that are [`Loose::Other`].
    List(Vec<Loose>),
    /// An object, in its order, without the members that are [`Loose::Other`].
    Object(Vec<(String, Loose)>),
    /// Anything else, or nested too deeply.
    Other,
}

impl Loose {
    /// The string.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The strings of a list.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let list = if let Self::List(list) = self { &list[..] } else { &[] };
        list.iter().filter_map(Self::text)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Levels(DEPTH).deserialize(deserializer)
    }
}

/// Reads a value of so many levels.
#[derive(Clone, Copy)]
struct Levels(u8);

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Loose;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loose, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Loose, E> {
        Ok(Loose::Text(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose::Switch(value))
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        let Some(below) = self.0.checked_sub(1) else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Loose::Other);
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Levels(below))? {
            list.extend(Some(item).filter(|item| *item != Loose::Other));
        }
        Ok(Loose::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Loose, A::Error> {
        let Some(below) = self.0.checked_sub(1) else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Loose::Other);
        };
        let mut object = Vec::new();
        while let Some(member) = members.next_key::<String>()? {
            let value = members.next_value_seed(Levels(below))?;
            object.extend(Some((member, value)).filter(|(_, value)| *value != Loose::Other));
        }
        Ok(Loose::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_is_read_however_deep() {
        let read = |text: &str| serde_json::from_str::<Loose>(text).unwrap();
        let text = |text: &str| Loose::Text(text.to_owned());
        assert_eq!(read("\"a\""), text("a"));
        for other in ["null", "1", "-1", "1.5"] {
            assert_eq!(read(other), Loose::Other, "{other}");
        }
        let members = vec![("a".to_owned(), Loose::List(vec![text("x")])), ("a".to_owned(), Loose::Switch(true))];
        assert_eq!(read(r#"{"a":["x",1,["y"],{}],"n":null,"a":true}"#), Loose::Object(members));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep), Loose::List(vec![Loose::List(vec![])]));
        assert!(serde_json::from_str::<Loose>("[1").is_err());
    }
}
