//! Preconditions on the state of a name (compare-and-swap).

use super::Digest;

/// A client's precondition for a change, in terms of the active manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Expect {
    /// No precondition.
    #[default]
    Anything,
    /// No version is active (`If-None-Match: *`): create only.
    Nothing,
    /// A version is active (`If-Match: *`): update only.
    Something,
    /// The active manifest has one of these digests (`If-Match`).
    OneOf(Vec<Digest>),
    /// The active manifest has none of these digests (`If-None-Match`).
    NoneOf(Vec<Digest>),
}

impl Expect {
    /// Whether the precondition holds for the digest of the active manifest (`None`: nothing is active).
    #[must_use]
    pub fn holds(&self, active: Option<Digest>) -> bool {
        match self {
            Self::Anything => true,
            Self::Nothing => active.is_none(),
            Self::Something => active.is_some(),
            Self::OneOf(wanted) => active.is_some_and(|digest| wanted.contains(&digest)),
            Self::NoneOf(refused) => active.is_none_or(|digest| !refused.contains(&digest)),
        }
    }

    /// Whether the client stated a precondition.
    #[must_use]
    pub fn is_stated(&self) -> bool {
        *self != Self::Anything
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_judges_absent_same_and_other() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let table = [
            (Expect::Anything, [true, true, true]),
            (Expect::Nothing, [true, false, false]),
            (Expect::Something, [false, true, true]),
            (Expect::OneOf(vec![one]), [false, true, false]),
            (Expect::NoneOf(vec![one]), [true, false, true]),
        ];
        for (expect, wanted) in table {
            assert_eq!([None, Some(one), Some(two)].map(|active| expect.holds(active)), wanted, "{expect:?}");
        }
    }
}
