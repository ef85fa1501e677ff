//! The canonical text of Timeless documents: JSON with an entry in each line, indented by tabs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A value to be written.
pub(super) enum Node<'a> {
    Null,
    Text(&'a str),
    List(Vec<Node<'a>>),
    /// Members in the order in which they are written.
    Map(Vec<(&'a str, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// A map of texts, or `null`.
    pub(super) fn texts(texts: Option<&'a BTreeMap<String, String>>) -> Self {
        let member = |(key, text): (&'a String, &'a String)| (key.as_str(), Self::Text(text));
        texts.map_or(Self::Null, |texts| Self::Map(texts.iter().map(member).collect()))
    }

    /// A list of texts.
    pub(super) fn list(texts: &'a [String]) -> Self {
        Self::List(texts.iter().map(|text| Self::Text(text)).collect())
    }

    /// The document that consists of this value.
    pub(super) fn document(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out.push('\n');
        out
    }

    fn write(&self, depth: usize, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                let entries = items.iter().map(|item| (None, item));
                enclosed(['[', ']'], entries, depth, out);
            }
            Self::Map(members) => {
                let entries = members.iter().map(|(member, value)| (Some(*member), value));
                enclosed(['{', '}'], entries, depth, out);
            }
        }
    }
}

fn enclosed<'a>(
    [open, close]: [char; 2],
    entries: impl ExactSizeIterator<Item = (Option<&'a str>, &'a Node<'a>)>,
    depth: usize,
    out: &mut String,
) {
    out.push(open);
    let is_empty = entries.len() == 0;
    for (at, (member, value)) in entries.enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        indent(depth + 1, out);
        if let Some(member) = member {
            quote(member, out);
            out.push_str(": ");
        }
        value.write(depth + 1, out);
    }
    if !is_empty {
        out.push('\n');
        indent(depth, out);
    }
    out.push(close);
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n('\t', depth));
}

/// Writes a string. Only what has to be escaped is, in lower-case digits; of the short forms, `\b` and `\f` are not used.
/// The line separators of Unicode are escaped, because they end lines of JavaScript.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// A map in which no key occurs twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distinct<V>(pub(super) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Distinct<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DistinctKeys(std::marker::PhantomData)).map(Self)
    }
}

struct DistinctKeys<V>(std::marker::PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for DistinctKeys<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        // The key is judged before its value is read, so that the error states its place.
        while let Some(key) = members.next_key::<String>()? {
            if map.contains_key(&key) {
                let shown: String = key.chars().take(64).collect();
                return Err(A::Error::custom(format!("the key {shown:?} occurs twice")));
            }
            map.insert(key, members.next_value()?);
        }
        Ok(map)
    }
}

/// Reads a map of texts, or `null`.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    Ok(Option::<Distinct<String>>::deserialize(deserializer)?.map(|Distinct(map)| map))
}
