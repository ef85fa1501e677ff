//! The filesystem backend when the machine lets it down: full disks, refused calls, dying processes.

mod children;
mod errors;
mod foreign;
mod kills;
mod parts;
mod staging;
