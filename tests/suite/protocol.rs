//! The storage protocol under failures and races, over the real filesystem backend with a script in between.

mod absences;
mod areas;
mod attachments;
mod chunks;
mod collected;
mod costs;
mod crashes;
mod discards;
mod growth;
mod healing;
mod hidden;
mod hosts;
mod immutable;
mod keys;
pub mod labels;
mod logs;
mod races;
mod releases;
mod remedies;
mod replies;
mod staleness;
mod times;
mod uploads;
mod wares;
