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
//! 3. **Numbers of doomed bytes are never reused.** A delete that comes late only ever hits bytes that are dead.
//!
//! A name is a log of heads ([`protocol::heads`]); each head is the complete state of the name at one generation, and
//! what may follow it is decided by one pure function ([`domain::Head::next`]). Publishing
//! ([`service::publish`]) first makes a version's blobs roots, then checks them, then commits. The collector
//! ([`upkeep::collect`]) first condemns what nobody needs, then looks for roots again, then deletes. Whoever comes second
//! sees the other: that is the whole argument, and it stands beside the code of each step. A blob may also arrive over
//! several requests and servers ([`protocol::uploads`]). `docs/protocol.md` puts all of it together and names the steps.
//!
//! # Map
//!
//! Each layer uses only those above it in this list; a test holds the rule.
//!
//! | Module | Owns | Must never |
//! |---|---|---|
//! | [`domain`] | grammars, manifests, state transitions | do I/O, read a clock |
//! | [`store`] | the write-once seam and its backends | know what a manifest or a version is |
//! | [`layout`] | the spelling of keys, the layout marker, migrations | decide anything about versions |
//! | [`protocol`] | the storage protocol: what stored objects mean | know HTTP, spell keys by hand |
//! | [`service`] | what a request asks for: publish, resolve, versions, names | know HTTP, know `upkeep` |
//! | [`upkeep`] | collect, verify, copy, try out, readiness | know HTTP, know `service` |
//! | [`config`], [`access`], [`clock`], [`telemetry`], [`lifecycle`] | what their names say | reach the store |
//! | [`wire`] | JSON bodies as they travel, once for server and client | know where they come from |
//! | [`http`] | routes, headers, the one error boundary | touch the store, decide anything |
//! | [`server`] | putting the parts together, accepting connections | handle a request |
//! | [`client`] | talking to a server, with the one retry policy of clients | print |
//! | [`cli`] | the words people read and the exit codes scripts read | talk HTTP itself |
//!
//! # Principles
//!
//! 1. Nothing is visible before it is verified.
//! 2. Nothing is ever overwritten.
//! 3. Parse once, at the edge: below [`http`] there are no raw texts for digests, names or keys.
//! 4. Backends move bytes; services decide.
//! 5. Doubt keeps data: an error is never read as absence.
//! 6. One retry policy a side, one error boundary, one speller of keys, one clock: the store's, as far as it is known.

pub mod access;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod layout;
pub mod lifecycle;
pub mod protocol;
pub mod server;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod upkeep;
pub mod wire;
