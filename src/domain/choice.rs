//! Choosing one version of many by a selector.

use std::cmp::Ordering;

use semver::Version;

use super::Selector;
use super::label::{Candidate, Label, Standing, is_stable};

/// Looks for the version that a selector selects among candidates that are offered in any order, each version once.
#[derive(Debug)]
pub struct Choice<'a> {
    selector: &'a Selector,
    /// Whether a staged version with the label is as good as a released one.
    staged_counts: bool,
    best: Option<Rank>,
    /// Candidates with exactly the label that the selector names.
    holders: u64,
}

/// The version that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// Number of the version.
    pub number: u64,
    /// Whether it has exactly the label that the selector names, and is the only version that ever had it, and no version
    /// with another label can be chosen in its place.
    pub is_sole_holder: bool,
    /// Whether the selector names it by its label, rather than as the highest of several.
    pub is_by_label: bool,
}

/// How well a candidate fits: better ones are greater.
#[derive(Debug)]
struct Rank {
    fit: Fit,
    /// What counts among candidates that fit equally well; `None` where only their numbers count.
    precedence: Option<Version>,
    number: u64,
}

/// In which way a candidate fits, the best last. The label as it is written counts before the same version number with or
/// without a `v`, and of one label the version that most readers should get. A label that is a line as well counts before
/// the line only if its version is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    BeforeLine(Availability),
    Ordered,
    SameNumber(Availability),
    SameLabel(Availability),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Availability {
    Gone,
    Yanked,
    Staged,
    Released,
}

impl Rank {
    /// The order of ranks. Of equal precedence, the higher number is better.
    fn compare(&self, fit: Fit, precedence: Option<&Version>, number: u64) -> Ordering {
        let by_precedence = || match (&self.precedence, precedence) {
            (Some(one), Some(other)) => one.cmp_precedence(other),
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        self.fit.cmp(&fit).then_with(by_precedence).then_with(|| self.number.cmp(&number))
    }
}

impl<'a> Choice<'a> {
    /// A choice for a selector for which [`Selector::is_by_label`] holds. Any other selects nothing.
    #[must_use]
    pub fn new(selector: &'a Selector) -> Self {
        Self { selector, staged_counts: false, best: None, holders: 0 }
    }

    /// A choice of what is to become active: of staged and released versions with one label, the newest.
    #[must_use]
    pub fn to_promote(selector: &'a Selector) -> Self {
        Self { staged_counts: true, ..Self::new(selector) }
    }

    /// Considers one more version.
    pub fn offer(&mut self, candidate: &Candidate) {
        if let Selector::Label(label) = self.selector {
            self.holders += u64::from(candidate.has_label(label.as_str()));
        }
        let number = candidate.number;
        let Some((fit, precedence)) = fit(self.selector, candidate, self.staged_counts) else { return };
        if self.best.as_ref().is_none_or(|best| best.compare(fit, precedence, number).is_lt()) {
            self.best = Some(Rank { fit, precedence: precedence.cloned(), number });
        }
    }

    /// The version that is chosen.
    #[must_use]
    pub fn chosen(&self) -> Option<Chosen> {
        let best = self.best.as_ref()?;
        let has_line = matches!(self.selector, Selector::Label(label) if label.line().is_some());
        let is_sole_holder = matches!(best.fit, Fit::SameLabel(_)) && self.holders == 1 && !has_line;
        Some(Chosen { number: best.number, is_sole_holder, is_by_label: best.fit != Fit::Ordered })
    }
}

/// How a candidate fits a selector, and the version number that counts if others fit equally well.
fn fit<'c>(selector: &Selector, candidate: &'c Candidate, staged_counts: bool) -> Option<(Fit, Option<&'c Version>)> {
    let by_number = |accepts: &dyn Fn(&Version) -> bool| {
        let version = candidate.precedence.as_ref().filter(|version| candidate.is_offered() && accepts(version));
        version.map(|version| (Fit::Ordered, Some(version)))
    };
    match selector {
        Selector::Label(label) => {
            let exact = by_label(label, candidate, staged_counts).map(|fit| (fit, None));
            exact.or_else(|| by_number(&|version| label.line().is_some_and(|line| line.contains(version))))
        }
        Selector::Range(range) => by_number(&|version| range.contains(version)),
        Selector::Stable => by_number(&is_stable),
        Selector::Newest => by_number(&|_| true),
        Selector::Next => (candidate.standing == Standing::Staged && !candidate.yanked).then_some((Fit::Ordered, None)),
        Selector::Active | Selector::Previous | Selector::Number(_) | Selector::Manifest(_) | Selector::At(_) => None,
    }
}

fn by_label(label: &Label, candidate: &Candidate, staged_counts: bool) -> Option<Fit> {
    let own = candidate.label.as_deref().filter(|own| label.means(own))?;
    let availability = match candidate.standing {
        Standing::Gone => Availability::Gone,
        Standing::Released | Standing::Staged if candidate.yanked => Availability::Yanked,
        Standing::Staged if !staged_counts => Availability::Staged,
        Standing::Released | Standing::Staged => Availability::Released,
    };
    Some(match own == label.as_str() {
        true if availability < Availability::Released && label.line().is_some() => Fit::BeforeLine(availability),
        true => Fit::SameLabel(availability),
        false => Fit::SameNumber(availability),
    })
}

/// The labels that a name has to offer: the highest few of those that can be selected.
#[derive(Debug)]
pub struct Survey {
    limit: usize,
    highest: Vec<(Rank, Box<str>)>,
    /// Number of versions that can be selected by their labels.
    pub selectable: u64,
}

impl Survey {
    /// A survey that keeps at most `limit` labels.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, highest: Vec::new(), selectable: 0 }
    }

    /// Considers one more version.
    pub fn offer(&mut self, candidate: &Candidate) {
        let Some(label) = candidate.label.as_deref().filter(|label| label.parse::<Label>().is_ok()) else { return };
        if !candidate.is_offered() {
            return;
        }
        self.selectable += 1;
        let (precedence, number) = (candidate.precedence.as_ref(), candidate.number);
        let is_higher = |(other, _): &(Rank, Box<str>)| other.compare(Fit::Ordered, precedence, number).is_gt();
        let at = self.highest.partition_point(is_higher);
        if at < self.limit && !self.highest.iter().any(|(_, other)| **other == *label) {
            let rank = Rank { fit: Fit::Ordered, precedence: precedence.cloned(), number };
            self.highest.insert(at, (rank, label.into()));
            self.highest.truncate(self.limit);
        }
    }

    /// The labels, highest first: those that state version numbers by these, then others from the newest version on.
    #[must_use]
    pub fn labels(self) -> Vec<Box<str>> {
        self.highest.into_iter().map(|(_, label)| label).collect()
    }
}

#[cfg(test)]
mod tests;
