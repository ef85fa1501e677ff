//! The releases of a name: the versions that are offered to programs and readers in lists, each under its label.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::domain::label::{Candidate, Label, Standing};
use crate::domain::text::first_hidden;
use crate::domain::{Head, ManifestName, State, VersionRow};
use crate::protocol::AsOf;
use crate::service::{ResolveError, Versions};

/// Rows examined for one page, beyond those that it shows.
const MAX_EXAMINED: usize = 4096;
/// Most versions that a list of labels is made of, the newest ones.
pub const MAX_LABELS: usize = 20_000;

/// Which releases are wanted.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseQuery {
    /// Only versions with lower numbers.
    pub before: Option<u64>,
    /// Only versions with higher numbers.
    pub after: Option<u64>,
    /// Most releases in the answer.
    pub limit: usize,
    /// Whether to include those that were yanked.
    pub with_yanked: bool,
    /// How stale the answer may be.
    pub fresh: AsOf,
}

/// A page of releases.
#[derive(Debug, Clone)]
pub struct ReleasePage {
    /// The head that the rows belong to.
    pub head: Arc<Head>,
    /// Their rows, newest first.
    pub rows: Vec<VersionRow>,
    /// Where the next page begins: at rows with lower numbers than this. `None` on the last page.
    pub next: Option<u64>,
}

/// The labels of all releases that can be selected by them.
#[derive(Debug, Clone)]
pub struct ReleaseLabels {
    /// The head that they belong to.
    pub head: Arc<Head>,
    /// Each label once, with the number of the newest version that has it; oldest first.
    pub labels: Vec<(u64, Box<str>)>,
}

/// The label of a release. `None` for versions that are not one: those that were never active, were retired or yanked, and
/// those without a label that is a single word.
#[must_use]
pub fn release_label(row: &VersionRow, with_yanked: bool) -> Option<&str> {
    let is_released = matches!(row.state, State::Active | State::Archived);
    let is_offered = is_released && (with_yanked || row.yanked.is_none());
    let label = row.summary.label.as_deref().filter(|_| is_offered && !row.summary.label_cut)?;
    let is_word = !label.is_empty() && !label.contains(char::is_whitespace) && first_hidden(label).is_none();
    is_word.then_some(label)
}

/// Whether `NAME@LABEL` is a version with this label, so that programs can be told to ask for it. A label `17` is not one:
/// `NAME@17` is the version with this number, whatever its label.
fn selects(label: &str) -> bool {
    label.parse::<Label>().is_ok()
}

impl Versions {
    /// A page of the releases of a name.
    ///
    /// # Errors
    /// [`ResolveError::NoSuchName`], [`ResolveError::Deleted`], or when the store fails.
    pub async fn releases(&self, name: &ManifestName, query: ReleaseQuery) -> Result<ReleasePage, ResolveError> {
        let head = self.readable_head(name, query.fresh).await?;
        let (mut rows, mut examined) = (Vec::new(), 0);
        let mut before = query.before.unwrap_or(u64::MAX);
        // One more than wanted shows whether there is a next page. A long run of other versions ends the page early.
        while rows.len() <= query.limit {
            if examined >= MAX_EXAMINED {
                return Ok(ReleasePage { head, rows, next: Some(before) });
            }
            let page = self.heads.rows(&head, before, query.limit + 1).await?;
            let Some(last) = page.last() else { break };
            before = last.number;
            examined += page.len();
            let is_wanted = |row: &VersionRow| release_label(row, query.with_yanked).is_some();
            let after = |row: &VersionRow| query.after.is_none_or(|after| row.number > after);
            rows.extend(page.into_iter().filter(|row| is_wanted(row) && after(row)));
            if query.after.is_some_and(|after| before <= after) {
                break;
            }
        }
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let next = rows.last().filter(|_| more).map(|row| row.number);
        Ok(ReleasePage { head, rows, next })
    }

    /// The labels that select releases with lower numbers than `before`, of the newest [`MAX_LABELS`] of them.
    ///
    /// # Errors
    /// As [`Versions::releases`].
    pub async fn release_labels(
        &self,
        name: &ManifestName,
        before: Option<u64>,
        fresh: AsOf,
    ) -> Result<ReleaseLabels, ResolveError> {
        let head = self.readable_head(name, fresh).await?;
        let before = before.unwrap_or(u64::MAX);
        let mut newest: BTreeMap<u64, Box<str>> = BTreeMap::new();
        let visit = |candidate: &Candidate| {
            let number = candidate.number;
            let is_old =
                newest.len() == MAX_LABELS && newest.first_key_value().is_some_and(|(first, _)| number < *first);
            if let Some(label) = candidate.label.as_deref().filter(|label| selects(label))
                && candidate.is_offered()
                && number < before
                && !is_old
            {
                newest.insert(number, label.into());
                if newest.len() > MAX_LABELS {
                    newest.pop_first();
                }
            }
        };
        self.heads.each_candidate(&head, visit).await?;
        let mut seen = HashSet::new();
        let mut labels: Vec<_> = newest.iter().rev().filter(|(_, label)| seen.insert(&***label)).collect();
        labels.reverse();
        let labels = labels.into_iter().map(|(number, label)| (*number, label.clone())).collect();
        Ok(ReleaseLabels { head, labels })
    }

    /// The number of the newest release with this label; of one that was yanked if there is no other.
    ///
    /// # Errors
    /// As [`Versions::releases`].
    pub async fn release_number(
        &self,
        name: &ManifestName,
        label: &str,
        fresh: AsOf,
    ) -> Result<Option<u64>, ResolveError> {
        let head = self.readable_head(name, fresh).await?;
        let mut newest = None;
        let visit = |candidate: &Candidate| {
            if candidate.standing == Standing::Released && candidate.has_label(label) {
                newest = newest.max(Some((!candidate.yanked, candidate.number)));
            }
        };
        self.heads.each_candidate(&head, visit).await?;
        Ok(newest.map(|(_, number)| number))
    }

    /// The newest head of a name that was not deleted.
    ///
    /// # Errors
    /// As [`Versions::releases`].
    pub async fn readable_head(&self, name: &ManifestName, fresh: AsOf) -> Result<Arc<Head>, ResolveError> {
        let head = self.heads.look(name, fresh).await?.ok_or_else(|| ResolveError::NoSuchName(name.clone()))?;
        match &head.deleted {
            Some(deletion) => {
                let (at, by, reason) = (deletion.at, deletion.by.clone(), deletion.reason.clone());
                Err(ResolveError::Deleted { name: name.clone(), at, by, reason })
            }
            None => Ok(head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::{Descriptor, Kind};
    use crate::domain::version::Yank;
    use crate::domain::{Carried, Digest, Subject, Summary};
    use jiff::Timestamp;

    fn row(label: &str, state: State) -> VersionRow {
        let summary = Summary {
            manifest: Descriptor { digest: Digest::of(b""), size: 0 },
            media_type: None,
            label: Some(label.to_owned()),
            label_cut: false,
            kind: Kind::Files,
            files: 1,
            total_bytes: 0,
            entrypoint: None,
            source: None,
            subject: None,
            pushed_as: None,
        };
        let by = Subject::admin();
        VersionRow { state, ..VersionRow::prepared(1, summary, by, Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn a_release_was_active_and_has_a_label_of_one_word() {
        for (label, state, is_release) in [
            ("v1.0.0", State::Active, true),
            ("1.0.0+build", State::Archived, true),
            ("main:abc", State::Active, true),
            ("v1", State::Ready, false),
            ("v1", State::Retired, false),
            ("v1", State::Prepared, false),
            ("", State::Active, false),
            ("a b", State::Active, false),
            ("a\nb", State::Active, false),
            ("a\u{202e}b", State::Active, false),
        ] {
            assert_eq!(
                release_label(&row(label, state), false),
                Some(label).filter(|_| is_release),
                "{label:?} {state:?}"
            );
        }
        let cut = Summary { label_cut: true, ..row("v1", State::Active).summary };
        assert_eq!(release_label(&VersionRow { summary: cut, ..row("v1", State::Active) }, true), None);
    }

    #[test]
    fn a_yanked_release_is_listed_on_request() {
        let yank = Yank {
            at: Timestamp::UNIX_EPOCH,
            by: Subject::admin(),
            reason: "broken".into(),
            instead: None,
            other: Carried::default(),
        };
        let yanked = VersionRow { yanked: Some(Box::new(yank)), ..row("v1", State::Active) };
        assert_eq!(release_label(&yanked, false), None);
        assert_eq!(release_label(&yanked, true), Some("v1"));
    }
}
