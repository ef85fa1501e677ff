//! The collector: what goes, what stays, and what it does when in doubt.

mod blobs;
mod doubt;
mod earlier;
mod labels;
mod losses;
mod reports;
mod retention;
mod server;
mod strays;
mod uploads;
