//! What every store must do, whatever it is made of: each sentence in the documentation of `ObjectStore` and
//! `Upload` has a case here, and each backend runs all of them.
//!
//! A case gets an empty store and may assume nothing about what is behind it.

/// One case, as a module with one test per backend. To add a backend, add its test here.
macro_rules! contract {
    ($case:ident, |$store:ident| async $body:block) => {
        mod $case {
            use super::super::*;
            use super::*;

            async fn case($store: Store) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn fs() {
                let backend = FsBackend::new();
                case(backend.store()).await;
                backend.finish().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn s3() {
                let backend = S3Model::start().await;
                case(backend.store().await).await;
                backend.finish().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
            async fn ceph() {
                let backend = Ceph::start().await;
                case(backend.store().await).await;
                backend.finish().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn of_schedules() {
                case(crate::schedule::quiet_store()).await;
            }
        }
    };
}

use crate::support::ceph::Ceph;
use crate::support::s3::S3Model;

mod copies;
mod creates;
mod deletes;
mod keys;
mod lists;
mod parts;
mod reads;
mod uploads;
