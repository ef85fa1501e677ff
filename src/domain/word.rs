//! Words of open lists, such as the states of versions and the kinds of operations in stored documents.
//!
//! A newer Larder may write words that this one does not know. They are preserved, shown and written back unchanged;
//! the types made by `open_words!` define what known words mean.

use std::fmt;

/// Maximum length of a word, in bytes. Part of format 1: no later release may write a longer one.
const MAX_WORD: usize = 30;

/// A word: a letter of `a-z`, then up to 29 of `a-z`, `0-9`, `-` and `_`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word {
    length: u8,
    bytes: [u8; MAX_WORD],
}

/// The text that is not a valid word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no word of 1 to {MAX_WORD} of a-z, 0-9, '-' and '_' that begins with a letter")]
pub struct WordError(String);

impl Word {
    /// Parses a word.
    ///
    /// # Errors
    /// [`WordError`] if it does not follow the grammar.
    pub fn new(text: &str) -> Result<Self, WordError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
        let mut bytes = [0; MAX_WORD];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) if begins && text.bytes().all(legal) => {
                place.copy_from_slice(text.as_bytes());
                Ok(Self { length, bytes })
            }
            _ => Err(WordError(text.chars().take(80).collect())),
        }
    }

    /// The word as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII, so this never falls back.
        str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Implements the text form of an enum of known words and one variant `Unknown(Word)`: `as_str`, `Display`, `FromStr`,
/// and JSON.
macro_rules! open_words {
    ($type:ident { $($known:ident = $text:literal),+ $(,)? }) => {
        impl $type {
            /// The word, as it is stored and shown.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$known => $text,)+
                    Self::Unknown(word) => word.as_str(),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::domain::word::WordError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$known),)+
                    _ => $crate::domain::word::Word::new(text).map(Self::Unknown),
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a word")
                    }

                    // Most words are borrowed from the document without a copy.
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

pub(crate) use open_words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short_and_plain() {
        for text in ["a", "ready", "to-be_2", &"x".repeat(MAX_WORD)] {
            assert_eq!(Word::new(text).unwrap().as_str(), text);
        }
        for bad in ["", "Ready", "1st", "-a", "a b", "é", "a\"", &"x".repeat(MAX_WORD + 1), &"x".repeat(300)] {
            assert!(Word::new(bad).is_err(), "{bad}");
        }
    }
}
