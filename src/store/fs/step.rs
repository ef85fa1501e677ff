//! The seam below the filesystem backend: every kind of system call it makes, announced before it is made.

use std::{fmt, io};

/// A system call that the backend is about to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Create the staged file.
    Stage,
    /// Write to it.
    Write,
    /// Sync its bytes.
    SyncFile,
    /// Make a directory of the final key.
    MakeDirectory,
    /// Link the staged file to its final key.
    Link,
    /// Sync a directory.
    SyncDirectory,
    /// Remove the staged name.
    Unstage,
    /// Open or look at an object.
    Open,
    /// Read from an object.
    Read,
    /// Read a directory.
    ReadDirectory,
    /// Delete an object.
    Delete,
}

/// Is told of every step and may fail it.
pub trait Steps: Send + Sync + fmt::Debug {
    /// Called before each step; an error is returned in place of making the call.
    ///
    /// # Errors
    /// Whatever the system call is to fail with.
    fn before(&self, step: Step) -> io::Result<()>;
}

/// Lets every step happen: what production runs with.
#[derive(Debug, Clone, Copy)]
pub struct NoFaults;

impl Steps for NoFaults {
    fn before(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}
