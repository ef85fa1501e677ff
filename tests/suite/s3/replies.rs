//! Answers that get lost after the request had its effect.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::store::{Created, StoreErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::ceph::Ceph;
use crate::support::s3::{Fault, Op, S3Model};
use crate::support::store::*;

/// Both ways in which an effect can be without an answer.
const LOST: [Fault; 2] = [Fault::LostReply, Fault::LateError];

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_was_lost_is_known_to_be_ours() {
    let model = S3Model::start().await;
    let store = model.store().await;
    for (round, fault) in LOST.into_iter().enumerate() {
        model.fail(Op::PutObject, 1, fault);
        put(&store, &format!("a/{round}"), "bytes").await;
        let requests = model.requests();
        assert_eq!((requests[&Op::PutObject], requests[&Op::Look]), (2, 1), "tried again, then looked at");
        model.heal();
    }
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_bytes_of_another_writer_are_not_taken_for_ours() {
    let model = S3Model::start().await;
    let (store, other) = (model.store().await, model.store().await);
    put(&other, "a", "bytes").await;
    model.plant("b", "bytes");
    for name in ["a", "b"] {
        model.fail(Op::PutObject, 1, Fault::Reset);
        assert_eq!(create(&store, name, "bytes").await, Created::AlreadyExists, "{name}");
        model.heal();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_from_the_start_costs_one_request() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "a", "bytes").await;
    model.requests();
    assert_eq!(create(&store, "a", "bytes").await, Created::AlreadyExists);
    assert_eq!(model.requests().values().sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_known_to_be_ours() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = pattern(12 << 20);
    for (round, fault) in LOST.into_iter().enumerate() {
        model.fail(Op::CompleteMultipart, 1, fault);
        let name = format!("a/{round}");
        assert_eq!(upload(&store, &name, std::slice::from_ref(&bytes)).await, Created::New);
        assert!(read(&store, &name).await.unwrap() == bytes);
        model.heal();
    }
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_parts_whose_answer_was_lost_is_told_new() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let parts = store.begin_parts(&key("a")).await.unwrap();
    let part = store.write_part(&parts, 1, 0, "bytes".into()).await.unwrap().unwrap();
    model.fail(Op::CompleteMultipart, 1, Fault::LostReply);
    assert_eq!(store.commit_parts(&parts, &[part]).await.unwrap(), Some(Created::New));
    assert_eq!(read(&store, "a").await.unwrap(), "bytes");
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_answer_was_lost_is_told_new() {
    let model = S3Model::start().await;
    let store = model.store().await;
    put(&store, "from", "bytes").await;
    model.fail(Op::CopyObject, 1, Fault::LostReply);
    assert_eq!(store.copy(&key("from"), &key("to")).await.unwrap(), Some(Created::New));
    assert_eq!(read(&store, "to").await.unwrap(), "bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_answer_was_lost_is_sent_again() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let bytes = pattern(12 << 20);
    model.fail(Op::UploadPart, 2, Fault::LostReply);
    assert_eq!(upload(&store, "a", std::slice::from_ref(&bytes)).await, Created::New);
    assert!(read(&store, "a").await.unwrap() == bytes);
    assert_eq!(model.requests()[&Op::UploadPart], 4);
    model.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_for_ever_end_in_an_error_and_perhaps_an_object() {
    let model = S3Model::start().await;
    let store = model.store_with(|settings| settings.timeouts.give_up = Duration::from_millis(500)).await;
    model.fail_from(Op::PutObject, 1, Fault::LostReply);
    let error = store.create(&key("a"), "bytes".into()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!(read(&store, "a").await.unwrap(), "bytes", "whoever is told of an error reads it back");
}

/// A way to an engine on which answers get lost.
#[derive(Clone)]
struct Way {
    address: SocketAddr,
    engine: String,
    /// The answer to the next request that holds this text is lost.
    lost: Arc<Mutex<Option<&'static str>>>,
}

impl Way {
    async fn to(engine: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let engine = engine.trim_start_matches("http://").to_owned();
        let way = Self { address: listener.local_addr().unwrap(), engine, lost: Arc::default() };
        let accepting = way.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let way = accepting.clone();
                tokio::spawn(async move { way.carry(client).await });
            }
        });
        way
    }

    /// Carries bytes there and back until either side is done, or an answer begins that is to be lost.
    async fn carry(self, mut client: TcpStream) {
        let mut engine = TcpStream::connect(&self.engine).await.unwrap();
        let (mut there, mut back) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut losing = false;
        loop {
            tokio::select! {
                read = client.read(&mut there) => match read {
                    Ok(length @ 1..) => {
                        losing |= self.loses(&there[..length]);
                        engine.write_all(&there[..length]).await.unwrap();
                    }
                    _ => return,
                },
                read = engine.read(&mut back) => match read {
                    Ok(length @ 1..) if !losing => client.write_all(&back[..length]).await.unwrap(),
                    _ => return,
                },
            }
        }
    }

    /// Whether this request is the one whose answer is to be lost.
    fn loses(&self, sent: &[u8]) -> bool {
        let sent = String::from_utf8_lossy(sent);
        self.lost.lock().unwrap().take_if(|text| sent.contains(*text)).is_some()
    }

    fn lose(&self, text: &'static str) {
        *self.lost.lock().unwrap() = Some(text);
    }

    #[track_caller]
    fn assert_lost(&self) {
        assert_eq!(*self.lost.lock().unwrap(), None, "nothing was lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn a_real_engine_tells_what_was_ours() {
    let ceph = Ceph::start().await;
    let way = Way::to(ceph.settings().endpoint.as_deref().unwrap()).await;
    let store = ceph.store_with(|settings| settings.endpoint = Some(format!("http://{}", way.address))).await;
    let bytes = pattern(12 << 20);

    way.lose("PUT ");
    put(&store, "created", "bytes").await;
    way.assert_lost();

    let upload = begin(&store, "streamed", std::slice::from_ref(&bytes)).await;
    way.lose("POST ");
    assert_eq!(upload.commit().await.unwrap(), Created::New);
    way.assert_lost();
    assert!(read(&store, "streamed").await.unwrap() == bytes);

    way.lose("x-amz-copy-source");
    assert_eq!(store.copy(&key("streamed"), &key("copied")).await.unwrap(), Some(Created::New));
    way.assert_lost();
    assert!(read(&store, "copied").await.unwrap() == bytes);

    let parts = store.begin_parts(&key("parts")).await.unwrap();
    let part = store.write_part(&parts, 1, 0, "bytes".into()).await.unwrap().unwrap();
    way.lose("POST ");
    assert_eq!(store.commit_parts(&parts, &[part]).await.unwrap(), Some(Created::New));
    way.assert_lost();
    ceph.finish().await;
}
