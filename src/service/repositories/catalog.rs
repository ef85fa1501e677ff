//! Listing repositories and their tags.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Repositories;
use crate::domain::{LogName, ManifestName, RepositoryName};
use crate::layout;
use crate::protocol::AsOf;
use crate::protocol::marks::{self, Wanted};
use crate::store::{Key, StoreError, StoreErrorKind};

/// Heads read concurrently for one page.
const LOOKUPS: usize = 16;
/// Repositories looked at concurrently for one page, each of which takes a listing.
const LISTINGS: usize = 4;
/// How long the list of all repositories is kept: it takes a listing of all names.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// A page of a list, in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

/// The repositories that there were lately.
#[derive(Debug, Default)]
pub(super) struct KnownRepositories(Mutex<Option<(Instant, Arc<BTreeSet<RepositoryName>>)>>);

impl Repositories {
    /// At most `limit` tags of a repository that are active, come after `last` and that `visible` lets the caller see.
    /// `None` if it has no such tag at all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        last: Option<&str>,
        limit: usize,
        visible: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<Option<Page<String>>, StoreError> {
        let all = self.tags_ever(repository, &visible).await?;
        let after = last.map_or(0, |last| all.partition_point(|(tag, _)| tag.as_str() <= last));
        // One more than wanted shows whether there is another page; none, whether there is anything at all.
        let mut active: Vec<String> = Vec::new();
        let mut looked_at = self.look_at(all[after..].to_vec());
        while active.len() <= limit
            && let Some((tag, is_active)) = looked_at.try_next().await?
        {
            active.extend(is_active.then_some(tag));
        }
        drop(looked_at);
        if active.is_empty() && !self.has_any(all[..after].to_vec()).await? {
            return Ok(None);
        }
        let more = active.len() > limit;
        let entries = active.into_iter().take(limit).collect();
        Ok(Some(Page { entries, more }))
    }

    async fn has_any(&self, tags: Vec<(String, ManifestName)>) -> Result<bool, StoreError> {
        let mut looked_at = self.look_at(tags);
        while let Some((_, is_active)) = looked_at.try_next().await? {
            if is_active {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// These tags in their order, each with whether it is active.
    fn look_at(&self, tags: Vec<(String, ManifestName)>) -> BoxStream<'_, Result<(String, bool), StoreError>> {
        let look = move |(tag, name)| async move { Ok((tag, self.is_active(&name).await?)) };
        stream::iter(tags).map(look).buffered(LOOKUPS).boxed()
    }

    async fn is_active(&self, name: &ManifestName) -> Result<bool, StoreError> {
        let head = self.heads.look(name, AsOf::Recent).await?;
        Ok(head.is_some_and(|head| head.active().is_some()))
    }

    /// All tags that a repository ever had, in byte order, with their names. The order of keys is another one.
    async fn tags_ever(
        &self,
        repository: &RepositoryName,
        visible: &(impl Fn(&ManifestName) -> bool + Send + Sync),
    ) -> Result<Vec<(String, ManifestName)>, StoreError> {
        let Some(prefix) = layout::names(&format!("{repository}/")) else { return Ok(Vec::new()) };
        let wanted = |log: &LogName, key: &Key| match repository.tag_of(log).zip(log.visible()) {
            Some((tag, name)) if visible(&name) && !name.is_system() => Wanted::Yes((tag.to_owned(), name)),
            Some(_) => Wanted::No,
            None => marks::behind_segment(&prefix, key).map_or(Wanted::No, Wanted::NotBefore),
        };
        let mut listing = marks::list(&*self.store, prefix.clone(), None, wanted).boxed();
        let mut tags = Vec::new();
        while let Some(listed) = listing.next().await {
            match listed {
                Err(error) if error.kind == StoreErrorKind::Stray => {}
                listed => tags.push(listed?),
            }
        }
        drop(listing);
        tags.sort_unstable();
        Ok(tags)
    }

    /// At most `limit` repositories after `last`, which need not be one, with an active tag that `visible` lets the caller see. Those of which
    /// `may_see_some` says that there is none are not looked at. May be a minute old.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn catalog(
        &self,
        last: Option<&str>,
        limit: usize,
        may_see_some: impl Fn(&RepositoryName) -> bool + Send + Sync,
        visible: impl Fn(&ManifestName) -> bool + Send + Sync,
    ) -> Result<Page<RepositoryName>, StoreError> {
        let all = self.all().await?;
        let wanted = |repository: &&RepositoryName| {
            last.is_none_or(|last| repository.as_str() > last) && may_see_some(repository)
        };
        let after: Vec<RepositoryName> = all.iter().filter(wanted).cloned().collect();
        let visible = &visible;
        let look = |repository: RepositoryName| async move {
            let tags = self.tags_ever(&repository, visible).await?;
            Ok::<_, StoreError>(self.has_any(tags).await?.then_some(repository))
        };
        let mut found = stream::iter(after).map(look).buffered(LISTINGS).boxed();
        let mut entries = Vec::new();
        while entries.len() <= limit
            && let Some(repository) = found.try_next().await?
        {
            entries.extend(repository);
        }
        drop(found);
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Page { entries, more })
    }

    /// All repositories that ever had a tag, listed at most once a minute.
    async fn all(&self) -> Result<Arc<BTreeSet<RepositoryName>>, StoreError> {
        let mut known = self.known.0.lock().await;
        if let Some((_, all)) = known.as_ref().filter(|(asked, _)| asked.elapsed() < KNOWN_FOR) {
            return Ok(Arc::clone(all));
        }
        let asked = Instant::now();
        let mut all = BTreeSet::new();
        let Some(prefix) = layout::names("") else { return Ok(Arc::default()) };
        let wanted = |log: &LogName, key: &Key| match (log.visible(), marks::behind_hidden(key)) {
            (Some(name), _) => RepositoryName::of(&name).map_or(Wanted::No, Wanted::Yes),
            (None, Some(behind)) => Wanted::NotBefore(behind),
            (None, None) => Wanted::No,
        };
        let mut listing = marks::list(&*self.store, prefix, None, wanted).boxed();
        while let Some(listed) = listing.next().await {
            match listed {
                Err(error) if error.kind == StoreErrorKind::Stray => {}
                listed => drop(all.insert(listed?)),
            }
        }
        drop(listing);
        let all = Arc::new(all);
        *known = Some((asked, Arc::clone(&all)));
        Ok(all)
    }
}
