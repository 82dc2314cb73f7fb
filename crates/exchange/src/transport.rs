//! What lies below HTTP: accepting, TLS when it is asked for, and connections that can be reset.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections that wait for HTTP.
const ACCEPTED: usize = 256;
/// A TLS handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    reset: Arc<AtomicBool>,
}

impl Peer {
    /// The connection will be reset when it is dropped: RST instead of FIN.
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Accepting>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Accepting>) -> Self {
        stream.remote_addr().clone()
    }
}

enum Line {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection.
pub struct Wire {
    line: Line,
    reset: Arc<AtomicBool>,
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match &self.line {
            Line::Plain(tcp) => tcp,
            Line::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            // Without lingering, closing sends RST and drops what is not out yet.
            let _ = self.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.line {
            Line::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Line::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.line {
            Line::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Line::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.line {
            Line::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Line::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            // A FIN first would make it an orderly end.
            return Poll::Ready(Ok(()));
        }
        match &mut self.line {
            Line::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Line::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.line {
            Line::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Line::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.line {
            Line::Plain(tcp) => tcp.is_write_vectored(),
            Line::Tls(tls) => tls.is_write_vectored(),
        }
    }
}

/// A listener that hands out connections when their handshake is done, so that a slow one holds nobody up.
pub struct Accepting {
    ready: mpsc::Receiver<Wire>,
    // Aborted with the listener.
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Accepting {
    /// Accepts on `listener`, with TLS when there is an acceptor.
    pub fn new(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        let (tx, ready) = mpsc::channel(ACCEPTED);
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((tcp, from)) => welcome(tcp, from, tls.clone(), tx.clone()),
                    Err(error) => {
                        // Out of descriptors, for instance: it passes, and must not spin.
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Self { ready, task }
    }
}

fn welcome(tcp: TcpStream, from: SocketAddr, tls: Option<TlsAcceptor>, tx: mpsc::Sender<Wire>) {
    // Small frames must not wait for each other; a socket that refuses the option still works.
    let _ = tcp.set_nodelay(true);
    tokio::spawn(async move {
        let line = match tls {
            None => Line::Plain(tcp),
            Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(tcp)).await {
                Ok(Ok(stream)) => Line::Tls(Box::new(stream)),
                Ok(Err(error)) => {
                    tracing::debug!(%from, %error, "a TLS handshake failed");
                    return;
                }
                Err(_) => return,
            },
        };
        // The listener may be gone.
        let _ = tx.send(Wire { line, reset: Arc::default() }).await;
    });
}

impl Listener for Accepting {
    type Io = Wire;
    type Addr = Peer;

    async fn accept(&mut self) -> (Wire, Peer) {
        match self.ready.recv().await {
            Some(wire) => {
                let peer = Peer { reset: Arc::clone(&wire.reset) };
                (wire, peer)
            }
            // The task ends with the listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { reset: Arc::default() })
    }
}
