//! Connections: HTTP/1.1 on loopback, closed after 8 idle seconds, and cut where a fault says so.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// WeChat Pay closes a connection that was idle for so long, and says so in `Keep-Alive:
/// timeout=8`.
pub(crate) const IDLE: Duration = Duration::from_secs(8);

/// One connection, as a request's handler sees it.
#[derive(Default)]
pub(crate) struct Connection {
    /// The next request on this connection meets a closed one.
    stale: AtomicBool,
    reset: AtomicBool,
    cut: Notify,
}

impl Connection {
    pub(crate) fn make_stale(&self) {
        self.stale.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::SeqCst)
    }

    /// Ends the connection with a RST. Never comes back: the handler goes down with it.
    pub(crate) async fn reset<T>(&self) -> T {
        self.reset.store(true, Ordering::SeqCst);
        self.close().await
    }

    /// Ends the connection with a FIN and no answer. Never comes back.
    pub(crate) async fn close<T>(&self) -> T {
        self.cut.notify_one();
        std::future::pending().await
    }
}

/// Takes connections for as long as the simulator runs.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, router.clone()));
            }
            // Out of file descriptors, most likely: wait for some to come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let wire = Arc::new(Connection::default());
    let socket = Socket {
        stream,
        wire: Arc::clone(&wire),
    };
    let service = TowerToHyperService::new(router.layer(Extension(Arc::clone(&wire))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // As WeChat Pay writes them: `Wechatpay-Signature`. Some clients compare names with their
        // case.
        .title_case_headers(true)
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(socket), service);
    tokio::select! {
        // An error here is the peer's business: it went away, or it spoke no HTTP.
        _ = connection => {}
        () = wire.cut.notified() => {}
    }
}

/// A TCP stream that ends with a RST if its [`Connection`] says so.
struct Socket {
    stream: TcpStream,
    wire: Arc<Connection>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.wire.reset.load(Ordering::SeqCst) {
            // Without it the connection ends with a FIN, which also cuts it.
            let _linger = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
