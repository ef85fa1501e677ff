//! The same transfers without Larder, sent by the same kind of client. Uploads are signed with their body or without it,
//! as Larder's are.

use std::time::Duration;

use aws_sdk_s3::Client as S3;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Client;

use super::Body;
use super::engine::Engine;

/// What the server is configured for.
const PART: u64 = 8 << 20;
const PARTS_AT_ONCE: usize = 4;

/// A client of the engine.
pub(crate) struct Direct {
    s3: S3,
    http: Client,
    bucket: String,
    /// Whether signatures cover bodies.
    signs: bool,
}

impl Direct {
    pub(crate) fn new(engine: &Engine, http: Client) -> Self {
        Self { s3: engine.client(), http, bucket: engine.bucket.clone(), signs: engine.signs }
    }

    /// An address to download from.
    pub(crate) async fn address(&self, key: &str) -> String {
        let request = self.s3.get_object().bucket(&self.bucket).key(key);
        request.presigned(presigning()).await.expect("an address").uri().to_owned()
    }

    pub(crate) async fn upload(&self, key: &str, body: Body) {
        let begun = self.s3.create_multipart_upload().bucket(&self.bucket).key(key).send().await.expect("an upload");
        let id = begun.upload_id.expect("its name");
        let parts = (0..body.size().div_ceil(PART)).map(|at| self.put_part(key, &id, at, &body));
        let parts: Vec<CompletedPart> =
            stream::iter(parts).buffered(PARTS_AT_ONCE).map(Ok::<_, ()>).try_collect().await.expect("all parts");
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.s3.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(&id);
        complete.multipart_upload(all).send().await.expect("a complete upload");
    }

    async fn put_part(&self, key: &str, id: &str, at: u64, body: &Body) -> CompletedPart {
        let number = i32::try_from(at + 1).expect("few parts");
        let request = self.s3.upload_part().bucket(&self.bucket).key(key).upload_id(id).part_number(number);
        if self.signs {
            // The SDK hashes what it has in memory.
            let bytes = body.part(at, PART).concat();
            let tag = request.body(bytes.into()).send().await.expect("a part").e_tag.expect("its tag");
            return CompletedPart::builder().part_number(number).e_tag(tag).build();
        }
        let address = request.presigned(presigning()).await.expect("an address").uri().to_owned();
        let bytes = body.part(at, PART);
        let length: usize = bytes.iter().map(bytes::Bytes::len).sum();
        let stream = stream::iter(bytes.into_iter().map(Ok::<_, std::io::Error>));
        let request = self.http.put(address).header("content-length", length);
        let answer = request.body(reqwest::Body::wrap_stream(stream)).send().await.expect("a part");
        assert_eq!(answer.status(), 200);
        let tag = answer.headers()["etag"].to_str().expect("text").to_owned();
        CompletedPart::builder().part_number(number).e_tag(tag).build()
    }
}

fn presigning() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(3600)).expect("an hour")
}
