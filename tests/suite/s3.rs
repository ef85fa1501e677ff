//! The S3 backend on bad days, and what it costs: against the model, and against the real engine where that can be had.

mod bad_days;
mod commands;
mod costs;
mod deletes;
mod delivery;
mod lists;
mod parts;
mod probe;
mod reads;
mod replies;
mod retries;
mod uploads;
