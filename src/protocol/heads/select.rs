//! From a selector to a version.
//!
//! Selecting by a label, a line or a range looks at every version of the name, but reads no rows for it: those that left
//! the head are in label indexes, one for each segment.

use std::borrow::Borrow;
use std::sync::Arc;

use jiff::Timestamp;

use super::labels::LabelIndex;
use super::{Heads, StoreError};
use crate::domain::choice::{Choice, Survey};
use crate::domain::head::SegmentRef;
use crate::domain::label::Candidate;
use crate::domain::retention::since as entered;
use crate::domain::{Head, Selector, State, VersionRow};

/// A version that a selector picks.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The version's row, in any state.
    pub row: VersionRow,
    /// Whether the selector is a label that no other version of the name ever had, and never selects anything else.
    pub is_sole_holder: bool,
    /// Whether the selector is the label of the version, rather than a line, a range or a word.
    pub is_by_label: bool,
}

impl Heads {
    /// The version that a selector picks, wherever its row is stored.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn select(
        &self,
        head: &Head,
        selector: impl Borrow<Selector> + Send + Sync,
    ) -> Result<Option<VersionRow>, StoreError> {
        let selector = selector.borrow();
        let number = match selector {
            Selector::Active => return Ok(head.active().cloned()),
            Selector::Previous => head.before_active(),
            Selector::Number(number) => Some(*number),
            Selector::Manifest(digest) => return self.segments.best(head, *digest).await,
            Selector::At(time) => self.at(head, *time).await?.as_ref().and_then(Head::active).map(|row| row.number),
            Selector::Label(_) | Selector::Range(_) | Selector::Stable | Selector::Newest | Selector::Next => {
                return Ok(self.select_by_label(head, selector).await?.map(|selected| selected.row));
            }
        };
        match number {
            Some(number) => self.segments.row(head, number).await,
            None => Ok(None),
        }
    }

    /// As [`Heads::select`], for selectors by label.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn select_by_label(&self, head: &Head, selector: &Selector) -> Result<Option<Selected>, StoreError> {
        self.choose(head, Choice::new(selector)).await
    }

    /// The version that is to become active, if a selector says which. Staged versions count as much as others here.
    pub(super) async fn select_to_promote(
        &self,
        head: &Head,
        selector: &Selector,
    ) -> Result<Option<VersionRow>, StoreError> {
        if selector.is_by_label() {
            return Ok(self.choose(head, Choice::to_promote(selector)).await?.map(|selected| selected.row));
        }
        self.select(head, selector).await
    }

    async fn choose(&self, head: &Head, mut choice: Choice<'_>) -> Result<Option<Selected>, StoreError> {
        self.each_candidate(head, |candidate| choice.offer(candidate)).await?;
        let Some(chosen) = choice.chosen() else { return Ok(None) };
        let row = self.segments.row(head, chosen.number).await?;
        Ok(row.map(|row| Selected { row, is_sole_holder: chosen.is_sole_holder, is_by_label: chosen.is_by_label }))
    }

    /// What there is to select by label.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn survey(&self, head: &Head, limit: usize) -> Result<Survey, StoreError> {
        let mut survey = Survey::new(limit);
        self.each_candidate(head, |candidate| survey.offer(candidate)).await?;
        Ok(survey)
    }

    /// The rows of the versions that were archived later than `since` and are not active again, by ascending version
    /// number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn archived(&self, head: &Head, since: Timestamp) -> Result<Vec<VersionRow>, StoreError> {
        self.segments.roots_where(head, |row| row.state == State::Archived && entered(row) > since).await
    }

    /// The newest version that ever had exactly this label, retired or not.
    pub(super) async fn label_holder(&self, head: &Head, label: &str) -> Result<Option<VersionRow>, StoreError> {
        let mut newest = None;
        self.each_candidate(head, |candidate| {
            if candidate.has_label(label) {
                newest = newest.max(Some(candidate.number));
            }
        })
        .await?;
        match newest {
            Some(number) => self.segments.row(head, number).await,
            None => Ok(None),
        }
    }

    /// Visits every version that is or was complete once, as it is now, in no particular order. Reads no rows but those of
    /// segments without a label index.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn each_candidate(
        &self,
        head: &Head,
        mut visit: impl FnMut(&Candidate) + Send,
    ) -> Result<(), StoreError> {
        head.rows.iter().filter_map(Candidate::of).for_each(|candidate| visit(&candidate));
        let inline = |number| head.rows.binary_search_by_key(&number, |row| row.number).is_ok();
        let mut newer: Vec<(&SegmentRef, Arc<LabelIndex>)> = Vec::with_capacity(head.segments.len());
        // Rows in the head shadow those in segments, and later segments shadow earlier ones.
        for segment in head.segments.iter().rev() {
            let labels = self.segments.labels(head, segment).await?;
            let overlaps = |other: &SegmentRef| other.first <= segment.last && segment.first <= other.last;
            let shadows: Vec<_> =
                newer.iter().filter(|(other, _)| overlaps(other)).map(|(_, labels)| Arc::clone(labels)).collect();
            let is_shadowed = |number| inline(number) || shadows.iter().any(|labels| labels.holds(number));
            labels.iter().filter(|candidate| !is_shadowed(candidate.number)).for_each(&mut visit);
            newer.push((segment, labels));
        }
        Ok(())
    }
}
