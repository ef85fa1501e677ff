//! The fault-injection seam of the filesystem backend: every kind of system call, announced before it is made.

use std::{fmt, io};

/// A system call that the backend is about to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Create the staged file.
    Stage,
    /// Write to a staged file or to a part.
    Write,
    /// Sync the bytes of a file.
    SyncFile,
    /// Create a directory for a key.
    MakeDirectory,
    /// Link the staged file to its key.
    Link,
    /// Sync a directory.
    SyncDirectory,
    /// Remove the staging name.
    Unstage,
    /// Open or stat an object.
    Open,
    /// Read from an object.
    Read,
    /// Read a directory.
    ReadDirectory,
    /// Delete an object.
    Delete,
}

/// Observes every step and may fail it.
pub trait Steps: Send + Sync + fmt::Debug {
    /// Called before each step. If it returns an error, the system call is not made and fails with that error.
    ///
    /// # Errors
    /// The error that the system call is to fail with.
    fn before(&self, step: Step) -> io::Result<()>;
}

/// Lets every step happen; used in production.
#[derive(Debug, Clone, Copy)]
pub struct NoFaults;

impl Steps for NoFaults {
    fn before(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}
