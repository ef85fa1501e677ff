//! Raw connections of attackers, counted, from an address of their own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where attackers come from.
pub(crate) const ATTACKER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where bystanders come from.
pub(crate) const BYSTANDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How soon an attacker comes again whose connection was closed.
const AGAIN: Duration = Duration::from_millis(200);

/// The connections of an attack.
#[derive(Clone)]
pub(crate) struct Attackers {
    /// Only one of so many comes.
    one_of: usize,
    wanted: Arc<AtomicUsize>,
    ending: CancellationToken,
    tasks: TaskTracker,
}

impl Attackers {
    /// Attacks with one of `one_of` connections of each.
    pub(crate) fn new(one_of: usize) -> Self {
        Self { one_of, wanted: Arc::default(), ending: CancellationToken::new(), tasks: TaskTracker::new() }
    }

    /// Keeps `count` connections busy with `attack`, each of which begins again when the server ends it.
    pub(crate) fn keep<F, A>(&self, count: usize, address: &str, attack: F)
    where
        F: Fn(TcpStream, usize) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = io::Result<()>> + Send,
    {
        let count = count.div_ceil(self.one_of);
        self.wanted.fetch_add(count, Ordering::Relaxed);
        let address: SocketAddr = address.parse().expect("an address");
        for at in 0..count {
            let (this, attack) = (self.clone(), attack.clone());
            self.tasks.spawn(async move {
                let again = async {
                    loop {
                        if let Ok(stream) = connect(ATTACKER, address).await {
                            let _ = attack(stream, at).await;
                        }
                        tokio::time::sleep(AGAIN).await;
                    }
                };
                this.ending.run_until_cancelled(again).await;
            });
        }
    }

    /// Connections that the attack wants to hold.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Closes all connections.
    pub(crate) fn end(&self) {
        self.ending.cancel();
    }
}

pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // A small buffer: a client that stops reading is felt by the server at once.
    socket.set_recv_buffer_size(8 << 10)?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// Sends bytes, then waits until the server closes the connection, reading `rate` bytes a second.
pub(crate) async fn send_and_read(mut stream: TcpStream, bytes: &[u8], rate: usize) -> io::Result<()> {
    stream.write_all(bytes).await?;
    let mut buffer = vec![0; rate.max(1)];
    loop {
        if rate == 0 {
            wait_until_closed(&stream).await?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        if stream.read(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Sends bytes, then one more piece each second until the server closes the connection.
pub(crate) async fn send_slowly(mut stream: TcpStream, bytes: &[u8], piece: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stream.write_all(piece).await?;
        let mut buffer = [0; 1024];
        match stream.try_read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An answer or an end: either way this attack is over.
            other => return other.map(|_| ()),
        }
    }
}

/// Waits without reading.
async fn wait_until_closed(stream: &TcpStream) -> io::Result<()> {
    let mut byte = [0];
    loop {
        if stream.peek(&mut byte).await? == 0 {
            return Ok(());
        }
        // Bytes are there and stay there; an end behind them shows only as an error when something is sent.
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
}
