//! The S3 engine without Larder in front of it, by addresses that are signed beforehand.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use tokio::runtime::{Builder, Runtime};

use super::engine::Engine;

/// How long an address works.
const VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// A bucket of an engine that was started here.
pub(crate) struct Bucket {
    engine: Engine,
    client: Client,
    runtime: Runtime,
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let engine = Engine::find();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            engine.make_bucket().await;
            engine.client()
        });
        Self { engine, client, runtime }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let host = self.engine.endpoint.strip_prefix("http://").expect("an endpoint on loopback");
        host.parse().expect("an address and a port")
    }

    /// The processes of the engine.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.engine.processes()
    }

    /// Path and query of an object that work for this method alone.
    pub(crate) fn path(&self, method: &str, key: &str) -> String {
        let (bucket, valid) = (&self.engine.bucket, PresigningConfig::expires_in(VALID).expect("a day"));
        let (get, put) = (self.client.get_object(), self.client.put_object());
        let signed = self.runtime.block_on(async {
            match method {
                "GET" => get.bucket(bucket).key(key).presigned(valid).await.map_err(|error| error.to_string()),
                "PUT" => put.bucket(bucket).key(key).presigned(valid).await.map_err(|error| error.to_string()),
                _ => panic!("{method} is not measured"),
            }
        });
        let signed = signed.expect("an address");
        signed.uri().strip_prefix(&self.engine.endpoint).expect("an address of the engine").to_owned()
    }

    pub(crate) fn delete(&self, key: &str) {
        let request = self.client.delete_object().bucket(&self.engine.bucket).key(key);
        self.runtime.block_on(request.send()).expect("an object that can be deleted");
    }
}
