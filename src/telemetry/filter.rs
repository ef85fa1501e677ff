//! A log filter that can be replaced while the process runs.
//!
//! `tracing_subscriber::reload` would work, but takes a lock eight times per request: whenever a span is created,
//! entered, exited or closed, and for each event. A filter without span directives needs none of these calls, because
//! its decision for each callsite is cached there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer};

/// A parsed log filter.
#[derive(Debug)]
pub struct LogFilter {
    filter: EnvFilter,
    /// Whether a directive depends on the spans around an event.
    spans: bool,
}

impl LogFilter {
    /// Parses `tracing` filter directives.
    ///
    /// # Errors
    /// When the directives are invalid, as a sentence about `log.filter`.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse_filter(text)
            .map(|filter| Self { filter, spans: text.contains('[') })
            .map_err(|why| format!("log.filter {text:?} {why}"))
    }
}

/// Parses `tracing` filter directives, but refuses a single word that is no level: to the library it is the name of a
/// target, so that a misspelt level would silence everything else without a word.
///
/// # Errors
/// When the directives are invalid, as the end of a sentence that begins with the filter.
pub fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    let advice = "is not a filter such as `info`, `debug` or `warn,larder=debug`";
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let plain = |word: &&str| !word.is_empty() && !word.contains(['=', '[']);
    if let Some(word) = text.split(',').map(str::trim).filter(plain).find(|word| !is_level(word)) {
        return Err(format!(
            "{advice}: {word:?} is no level (error, warn, info, debug, trace, off); if it is a target, write `{word}=debug`"
        ));
    }
    EnvFilter::try_new(text).map_err(|error| format!("{advice}: {error}"))
}

/// The filter currently in effect.
#[derive(Debug)]
pub(super) struct CurrentFilter {
    filter: RwLock<EnvFilter>,
    spans: AtomicBool,
}

impl CurrentFilter {
    pub(super) fn new(filter: LogFilter) -> Self {
        Self { filter: RwLock::new(filter.filter), spans: AtomicBool::new(filter.spans) }
    }

    /// Replaces the filter for all subsequent spans and events.
    pub(super) fn replace(&self, filter: LogFilter) {
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = filter.filter;
        self.spans.store(filter.spans, Ordering::Release);
        // Discards the decisions that are cached per callsite.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Read access to the filter that is in effect.
    fn filter(&self) -> RwLockReadGuard<'_, EnvFilter> {
        self.filter.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The filter if it has span directives; otherwise it need not be notified of span events.
    fn watching(&self) -> Option<RwLockReadGuard<'_, EnvFilter>> {
        self.spans.load(Ordering::Acquire).then(|| self.filter())
    }
}

/// A layer that applies the filter currently in effect.
#[derive(Debug)]
pub(super) struct ByCurrentFilter(pub(super) &'static CurrentFilter);

impl<S: Subscriber> Layer<S> for ByCurrentFilter
where
    EnvFilter: Layer<S>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&*self.0.filter(), metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Layer::enabled(&*self.0.filter(), metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&*self.0.filter())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = self.0.watching() {
            filter.on_new_span(attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(filter) = self.0.watching() {
            Layer::on_record(&*filter, id, values, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = self.0.watching() {
            Layer::on_enter(&*filter, id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = self.0.watching() {
            Layer::on_exit(&*filter, id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(filter) = self.0.watching() {
            Layer::on_close(&*filter, id, context);
        }
    }
}
