//! What many cached responses have in common. Who asks for ever other files of a site finds it in the processor's caches.

use std::sync::{Arc, OnceLock};

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};

use super::cacheable::Sources;
use crate::domain::ManifestName;
use crate::http::meters::{Meter, Meters};

/// What a response depends on, and what counts it.
pub(super) struct Common {
    pub(super) sources: Sources,
    pub(super) route: MatchedPath,
    /// [`super::CacheSources::epoch`] before the permission to read was checked.
    pub(super) epoch: u64,
    pub(super) status: StatusCode,
    /// What counts it, for GET and HEAD, each of the whole response and of 304s.
    meters: [OnceLock<Meter>; 4],
}

impl Common {
    pub(super) fn new(sources: Sources, route: MatchedPath, epoch: u64, status: StatusCode) -> Self {
        Self { sources, route, epoch, status, meters: Default::default() }
    }

    /// Memory that it takes for the first response that has it, in bytes. None for others.
    pub(super) fn weight(self: &Arc<Self>) -> usize {
        let is_new = Arc::strong_count(self) <= 2;
        let names = self.sources.heads.iter().map(|(name, _)| name.as_str().len() + size_of::<(ManifestName, u64)>());
        if is_new { size_of::<Self>() + names.sum::<usize>() } else { 0 }
    }

    /// What counts a response to a request with this method, GET or HEAD.
    pub(super) fn meter(&self, meters: &Meters, method: &Method, unchanged: bool) -> &Meter {
        let index = usize::from(*method == Method::HEAD) + 2 * usize::from(unchanged);
        let status = if unchanged { StatusCode::NOT_MODIFIED } else { self.status };
        self.meters[index].get_or_init(|| meters.meter(self.route.as_str(), method, status))
    }
}

impl PartialEq for Common {
    fn eq(&self, other: &Self) -> bool {
        let of = |common: &Self| (common.epoch, common.status);
        of(self) == of(other) && self.route.as_str() == other.route.as_str() && self.sources == other.sources
    }
}
