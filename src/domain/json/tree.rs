//! A JSON document for whoever looks into it whatever its structure is.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::text::Text;
use super::unique::Names;

/// A value in a document, whose texts are left where they stand. No object has a member twice, at any depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree<'d> {
    /// `null`.
    Null,
    /// A whole number from 0 on.
    Number(u64),
    /// A text.
    Text(Cow<'d, str>),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Members<'d>),
    /// A truth value, or another number.
    Other,
}

/// The members of an object, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members<'d>(Vec<(Cow<'d, str>, Tree<'d>)>);

impl<'d> Tree<'d> {
    /// The text that it is.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The whole number that it is.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        if let Self::Number(number) = *self { Some(number) } else { None }
    }

    /// The list that it is.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// The object that it is.
    #[must_use]
    pub fn as_object(&self) -> Option<&Members<'d>> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }
}

impl<'d> Members<'d> {
    /// The member with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tree<'d>> {
        self.iter().find(|(member, _)| *member == name).map(|(_, value)| value)
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tree<'d>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl<'de: 'd, 'd> Deserialize<'de> for Tree<'d> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Other)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree<'de>, E> {
        Ok(Tree::Other)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(value.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree<'de>, A::Error> {
        let (mut names, mut object) = (Names::default(), Members::default());
        while let Some(name) = members.next_key::<Text<'de>>()? {
            names.add(name.clone())?;
            object.0.push((name.0, members.next_value()?));
        }
        Ok(Tree::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::strict;

    #[test]
    fn a_document_is_read_as_it_is() {
        let text = r#"{"n":[7,-2,2.5,null,true,0],"text":["x","\u0041\n"],"object":{"b":{},"a":1}}"#;
        let tree: Tree = strict(text.as_bytes()).unwrap();
        let document = tree.as_object().unwrap();
        assert_eq!(document.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["n", "text", "object"]);
        let (other, number) = (Tree::Other, |number| Tree::Number(number));
        let numbers = [number(7), other.clone(), other.clone(), Tree::Null, other, number(0)];
        assert_eq!(document.get("n").and_then(Tree::as_list), Some(&numbers[..]));
        let texts: Vec<_> = document.get("text").and_then(Tree::as_list).unwrap().iter().map(Tree::as_text).collect();
        assert_eq!(texts, [Some("x"), Some("A\n")]);
        let object = document.get("object").and_then(Tree::as_object).unwrap();
        assert_eq!((object.count(), object.get("a").and_then(Tree::as_number)), (2, Some(1)));
        assert!(object.get("c").is_none() && object.get("b").is_some_and(|b| b.as_object().is_some()));
    }

    #[test]
    fn nothing_is_copied_that_needs_no_copy() {
        let tree: Tree = strict(br#"["plain","\u0041"]"#).unwrap();
        let texts = tree.as_list().unwrap();
        assert!(matches!(texts, [Tree::Text(Cow::Borrowed("plain")), Tree::Text(Cow::Owned(_))]), "{texts:?}");
    }
}
