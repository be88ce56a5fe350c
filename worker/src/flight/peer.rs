//! A network connection. What its client began without a session of its own ends with it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::Connected;

use super::hub::Hub;

/// Which connection a call came over. The worker forgets the connection when the last of it is
/// dropped: when it is closed and no call of it is left.
#[derive(Clone)]
pub struct Peer(Arc<Presence>);

struct Presence {
    number: u64,
    hub: Weak<Hub>,
}

impl Peer {
    fn new(hub: &Arc<Hub>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Presence { number, hub: Arc::downgrade(hub) }))
    }

    /// A number that no other connection of this process has.
    pub fn number(&self) -> u64 {
        self.0.number
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.disconnected(self.number);
        }
    }
}

/// An accepted connection.
pub struct PeerStream {
    stream: TcpStream,
    peer: Peer,
}

impl PeerStream {
    /// Gives a connection its number.
    pub fn new(stream: TcpStream, hub: &Arc<Hub>) -> Self {
        // Answers are small and awaited: none waits for the next.
        let _ = stream.set_nodelay(true);
        Self { stream, peer: Peer::new(hub) }
    }
}

impl Connected for PeerStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
