//! Larder: an asset service for publishing releases.
//!
//! Blobs are addressed by their digest and never change. A manifest lists the files of a release and is swapped in
//! one atomic step. Everything lives in an object store or a directory; there is no database and nothing to
//! coordinate replicas with.
//!
//! # The promise
//!
//! For every name, every version that is active, retained, prepared or pinned has all of its blobs present and
//! digest-correct. Clocks decide only when space comes back, never whether live data survives. It rests on three
//! rules:
//!
//! 1. **Write once.** No object in the store is ever overwritten.
//! 2. **One primitive.** The only conditional operation is *create if absent*.
//! 3. **Generations of condemned bytes are never reused.** A delayed delete can only ever hit bytes that are already
//!    dead.
//!
//! A name is a log of heads ([`protocol::heads`]). Each head is the complete state of the name at one generation, and
//! one pure function ([`domain::Head::next`]) decides which head may follow it. Publishing ([`service::publish`]) first
//! makes a version's blobs roots (P1), then checks them (P2), then commits (P3). The collector ([`upkeep::collect`])
//! first condemns what nothing references (C3), then reads the roots again (C4), then deletes (C5). Whichever of the
//! two acts second sees the other; that is the whole safety argument, and it stands beside the code of each step. A
//! blob may also be uploaded over several requests and to several replicas ([`protocol::uploads`]). `docs/protocol.md`
//! describes the protocol as a whole and names the steps.
//!
//! # Map
//!
//! Each layer uses only those above it in this list; a test enforces this.
//!
//! | Module | Owns | Must never |
//! |---|---|---|
//! | [`domain`] | grammars, manifests, state transitions | do I/O, read a clock |
//! | [`shares`] | dividing memory and turns among those who ask | know what they are for |
//! | [`store`] | the write-once seam and its backends | know what a manifest or a version is |
//! | [`layout`] | the spelling of keys, the layout marker, migrations | decide anything about versions |
//! | [`protocol`] | the storage protocol: what stored objects mean | know HTTP, spell keys by hand |
//! | [`service`] | what a request asks for: publish, resolve, versions, names | know HTTP, know `upkeep` |
//! | [`upkeep`] | collect, verify, copy, probe, readiness | know HTTP, know `service` |
//! | [`config`], [`access`], [`clock`], [`telemetry`], [`lifecycle`] | what their names say | access the store |
//! | [`wire`] | JSON bodies and header names, shared by server and client | know which side uses them |
//! | [`http`] | routes, headers, the one error boundary | touch the store, decide anything |
//! | [`server`] | wiring the parts together, accepting connections | handle a request |
//! | [`client`] | talking to a server, with the clients' one retry policy | print |
//! | [`cli`] | the text that people read and the exit codes that scripts read | talk HTTP itself |
//!
//! # Principles
//!
//! 1. Nothing is visible before it is verified.
//! 2. Nothing is ever overwritten.
//! 3. Parse once, at the edge: below [`http`], digests, names and keys are never raw strings.
//! 4. Backends move bytes; services decide.
//! 5. When in doubt, keep data: an error is never treated as absence.
//! 6. One retry policy per side, one error boundary, one module that spells keys, one clock: the store's, as far as
//!    it is known.
//!
//! # Features
//!
//! `server`, the default, is everything. With `default-features = false`, `client` is [`client`] and what it needs,
//! and without it only [`domain`] and [`wire`] are left.

#[cfg(feature = "server")]
pub mod access;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
pub mod clock;
#[cfg(feature = "server")]
pub mod config;
pub mod domain;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod layout;
#[cfg(feature = "server")]
pub mod lifecycle;
#[cfg(feature = "server")]
pub mod protocol;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
pub mod shares;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod upkeep;
pub mod wire;
