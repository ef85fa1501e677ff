//! A name server on a real socket, whose TXT records a test sets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// The texts of each name; `None` for a name about which nothing is said at all.
type Records = Arc<Mutex<HashMap<String, Option<Vec<String>>>>>;

pub struct NameServer {
    pub address: SocketAddr,
    records: Records,
    questions: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl NameServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (records, questions) = (Records::default(), Arc::<Mutex<Vec<String>>>::default());
        let (known, asked) = (Arc::clone(&records), Arc::clone(&questions));
        let answering = async move {
            let mut buffer = [0; 1500];
            loop {
                let (size, from) = socket.recv_from(&mut buffer).await.unwrap();
                let (name, end) = question(&buffer[..size]);
                asked.lock().unwrap().push(name.clone());
                let texts = known.lock().unwrap().get(&name).cloned();
                // Silence, as of a server that is down.
                if texts == Some(None) {
                    continue;
                }
                let answer = answer(&buffer[..end], texts.flatten());
                socket.send_to(&answer, from).await.unwrap();
            }
        };
        let task = AbortOnDropHandle::new(tokio::spawn(answering));
        Self { address, records, questions, _task: task }
    }

    pub fn set(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.records.lock().unwrap().insert(name.to_owned(), Some(texts));
    }

    pub fn be_silent_about(&self, name: &str) {
        self.records.lock().unwrap().insert(name.to_owned(), None);
    }

    /// All names that were asked for.
    pub fn asked_for(&self) -> Vec<String> {
        self.questions.lock().unwrap().clone()
    }
}

/// The name in a query for TXT records (RFC 1035 section 4.1.2), and where the question ends.
fn question(query: &[u8]) -> (String, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    assert_eq!(query[at + 1..at + 5], [0, 16, 0, 1], "only TXT is asked for");
    (labels.join("."), at + 5)
}

fn answer(question: &[u8], texts: Option<Vec<String>>) -> Vec<u8> {
    let is_there = texts.is_some();
    let texts = texts.unwrap_or_default();
    let mut all = question.to_vec();
    // A response, with recursion, by the one who knows; NXDOMAIN if there is no such name.
    all[2..4].copy_from_slice(&[0x85, if is_there { 0x80 } else { 0x83 }]);
    all[4..12].copy_from_slice(&[0, 1, 0, u8::try_from(texts.len()).unwrap(), 0, 0, 0, 0]);
    for text in texts {
        let length = u8::try_from(text.len()).unwrap();
        // The name of the question, TXT, IN, a minute.
        all.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, length + 1, length]);
        all.extend(text.as_bytes());
    }
    all
}
