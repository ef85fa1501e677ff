//! Several servers on one store: what one of them does, the others show in time, and none of them is needed.

mod killed;
mod reading;
mod uploads;

use crate::support::ceph::Ceph;
use crate::support::s3::S3Model;
use crate::support::store::{FsBackend, Store};

/// A directory, a modelled bucket and a real one, each seen through two stores, as two processes see them.
async fn everywhere<F: Future<Output = ()>>(check: impl Fn([Store; 2]) -> F) {
    let backend = FsBackend::quick();
    check([backend.store(), backend.store()]).await;
    let model = S3Model::start().await;
    check([model.store().await, model.store().await]).await;
    model.finish().await;
    let Some(ceph) = Ceph::start().await else { return };
    check([ceph.store().await, ceph.store().await]).await;
    ceph.finish().await;
}
