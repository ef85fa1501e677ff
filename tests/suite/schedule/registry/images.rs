//! Images, indexes and referrers that share layers.

use std::sync::Arc;

use bytes::Bytes;
use larder::domain::{Digest, Expect, RepositoryName};
use larder::service::PublishError;
use larder::service::repositories::{PushRequest, PushedManifest};
use serde_json::json;

use crate::oci::image::Image;
use crate::support::services::{ACTOR, Services};

/// The tags that everybody works on.
pub const TAGS: [&str; 2] = ["latest", "v1"];

/// The index of two images that share a layer.
pub const INDEX: usize = 2;

/// The one repository.
pub fn repository() -> RepositoryName {
    "team/app".parse().expect("a legal repository")
}

/// A manifest with what it takes to push it.
#[derive(Debug, Clone)]
pub struct Pushable {
    pub digest: Digest,
    pub manifest: Bytes,
    /// Configs and layers.
    pub blobs: Vec<Bytes>,
    /// The images that it names, by their place.
    pub children: Vec<usize>,
    /// Digests of everything below it.
    pub needs: Vec<Digest>,
    pub subject: Option<Digest>,
}

/// All images. What another one names comes before it.
pub fn images() -> Arc<Vec<Pushable>> {
    let amd = Image::layered("amd64", &["shared", "a"]);
    let arm = Image::layered("arm64", &["shared", "b"]);
    let index = Image::index(vec![amd.clone(), arm.clone()], &json!({}));
    let nested = Image::index(vec![arm.clone(), index.clone()], &json!({}));
    let signature = Image::artifact(b"a signature", &json!({"subject": amd.descriptor()}));
    let notes = Image::artifact(b"notes", &json!({"subject": index.descriptor()}));
    let all = [amd, arm, index, nested, signature, notes];
    let subjects = [None, None, None, None, Some(0), Some(INDEX)];
    let place = |child: &Image| all.iter().position(|image| image.digest() == child.digest()).expect("one of them");
    let pushable = |(image, subject): (&Image, Option<usize>)| Pushable {
        digest: image.digest(),
        manifest: image.manifest.clone().into(),
        blobs: image.blobs.iter().cloned().map(Bytes::from).collect(),
        children: image.children.iter().map(place).collect(),
        needs: needs(image),
        subject: subject.map(|at: usize| all[at].digest()),
    };
    Arc::new(all.iter().zip(subjects).map(pushable).collect())
}

fn needs(image: &Image) -> Vec<Digest> {
    let all = image.all();
    let blobs = all.iter().flat_map(|image| image.blobs.iter().map(|bytes| Digest::of(bytes)));
    blobs.chain(all.iter().map(|image| image.digest()).filter(|digest| *digest != image.digest())).collect()
}

/// One request that pushes a manifest.
pub fn request(image: &Pushable, tag: Option<&str>) -> PushRequest {
    let tags = tag.map(|tag| repository().tag(tag).expect("a legal tag")).into_iter().collect();
    PushRequest {
        repository: repository(),
        tags,
        bytes: image.manifest.clone(),
        sha512: None,
        expect: Expect::Anything,
    }
}

/// Pushes an image with everything below it, children by their digests; for times in which nothing goes wrong.
pub async fn push_all(services: &Services, images: &[Pushable], at: usize, tag: Option<&str>) {
    try_push_all(services, images, at, tag).await.expect("push");
}

/// The same for other times.
pub async fn try_push_all(
    services: &Services,
    images: &[Pushable],
    at: usize,
    tag: Option<&str>,
) -> Result<PushedManifest, PublishError> {
    let image = &images[at];
    for child in &image.children {
        Box::pin(try_push_all(services, images, *child, None)).await?;
    }
    for bytes in &image.blobs {
        match services.upload(bytes).await {
            Ok(_) => {}
            Err(larder::protocol::BlobError::Store(error)) => return Err(error.into()),
            Err(error) => panic!("upload: {error}"),
        }
    }
    services.repositories.push(request(image, tag), &(&*ACTOR).into()).await
}
