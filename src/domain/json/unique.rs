//! That no object of a JSON document has a member twice.
//!
//! Parsers disagree about which of two equal members counts. A document that is signed must mean the same to all of
//! them.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::text::Text;

/// The names of the members of one object, of which each may come once.
#[derive(Default)]
pub(super) struct Names<'d>(BTreeSet<Text<'d>>);

impl<'d> Names<'d> {
    /// Adds the next one; an error if it was there before.
    pub(super) fn add<E: Error>(&mut self, name: Text<'d>) -> Result<(), E> {
        if self.0.contains(&name) {
            let shown: String = name.as_str().chars().take(64).collect();
            return Err(E::custom(format!("the member {shown:?} occurs twice")));
        }
        self.0.insert(name);
        Ok(())
    }
}

/// That a document has no repeated members, at any depth; what else is in it is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Distinct {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = Names::default();
        while let Some(name) = members.next_key()? {
            names.add(name)?;
            members.next_value::<Self>()?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::{Tree, strict};

    #[test]
    fn a_repeated_member_is_refused_at_any_depth_and_in_any_spelling() {
        for bad in [r#"{"a":1,"a":1}"#, r#"{"a":[{"b":{"c":1,"d":2,"c":3}}]}"#, r#"{"a":1,"\u0061":2}"#] {
            for why in [strict::<Tree>(bad.as_bytes()).unwrap_err(), strict::<Distinct>(bad.as_bytes()).unwrap_err()] {
                assert!(why.to_string().contains("occurs twice"), "{bad}");
            }
        }
        let place = r#"{"a":1,"#.len() + r#""a""#.len();
        let why = strict::<Tree>(br#"{"a":1,"a":1,"b":2}"#).unwrap_err().to_string();
        assert_eq!(why, format!("the member \"a\" occurs twice at line 1 column {place}"), "where the second one is");
    }

    #[test]
    fn all_else_is_let_through() {
        let text = r#"{"a":[1,-2,2.5,null,true,"x"],"b":{"a":{}}}"#;
        assert_eq!(strict::<Distinct>(text.as_bytes()), Ok(Distinct));
    }
}
