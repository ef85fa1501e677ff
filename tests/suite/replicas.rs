//! Several servers on one store: what one of them does, the others show in time, and none of them is needed.

/// One test for each place that servers may share: a directory, a modelled bucket and a real one, each seen through two
/// stores, as two processes see them.
macro_rules! everywhere {
    ($case:ident, $check:path) => {
        mod $case {
            use super::*;
            use crate::support::ceph::Ceph;
            use crate::support::s3::S3Model;
            use crate::support::store::FsBackend;

            #[tokio::test(flavor = "multi_thread")]
            async fn fs() {
                let backend = FsBackend::quick();
                $check([backend.store(), backend.store()]).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn s3() {
                let model = S3Model::start().await;
                $check([model.store().await, model.store().await]).await;
                model.finish().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
            async fn ceph() {
                let ceph = Ceph::start().await;
                $check([ceph.store().await, ceph.store().await]).await;
                ceph.finish().await;
            }
        }
    };
}

mod chunks;
mod killed;
mod reading;
mod uploads;
