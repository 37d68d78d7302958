//! One gateway connection: moves payloads between a websocket and the hub.
//!
//! **Invariant:** reading never waits for writing, so a client that reads slowly still gets its
//! heartbeats answered when it does, and is never taken for dead while it sends them.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{
        Notify,
        mpsc::{self, UnboundedReceiver},
    },
    time::timeout_at,
};
use tokio_websockets::{CloseCode, Error, Message, WebSocketStream};

use super::hub::{Control, Hub};

/// How a connection wants its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// Text frames.
    None,
    /// Binary frames of one zstd stream that is flushed after every payload.
    Zstd,
}

/// The fastest level that still halves the bandwidth; a test client on the same machine has CPU to lose.
const ZSTD_LEVEL: i32 = 1;

/// Serves a gateway connection until either side ends it.
pub(super) async fn serve<S>(
    hub: Rc<RefCell<Hub>>,
    socket: WebSocketStream<S>,
    compression: Compression,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (control, orders) = mpsc::unbounded_channel();
    let (hello, interval_ms, id) = {
        let mut hub = hub.borrow_mut();
        let id = hub.connect(control.clone());
        (hub.hello(), hub.config.heartbeat_interval_ms, id)
    };
    // The receiver is held by the writer below.
    let _ = control.send(Control::Send(hello.to_string().into()));
    let (sink, stream) = socket.split();
    let patience = Duration::from_millis(interval_ms.saturating_mul(3) / 2);
    let code = tokio::select! {
        code = read(&hub, id, stream, patience) => code,
        _ = write(&hub, id, sink, orders, compression) => None,
    };
    hub.borrow_mut().disconnect(id, code);
}

/// Reads until the client closes, and returns its close code; `None` if the connection just ended.
async fn read(
    hub: &RefCell<Hub>,
    id: u64,
    mut stream: impl Stream<Item = Result<Message, Error>> + Unpin,
    patience: Duration,
) -> Option<u16> {
    let mut deadline = tokio::time::Instant::now() + patience;
    loop {
        let Ok(next) = timeout_at(deadline, stream.next()).await else {
            // No heartbeat for one and a half intervals: the writer closes, and with it this ends.
            hub.borrow_mut().control(id, Control::Close(4000, "Heartbeat timed out."));
            deadline += Duration::from_secs(3600);
            continue;
        };
        let message = next?.ok()?;
        if let Some((code, _)) = message.as_close() {
            return Some(code.into());
        }
        if message.is_ping() || message.is_pong() {
            continue;
        }
        let before = hub.borrow().stats.heartbeats;
        hub.borrow_mut().receive(id, message.as_payload(), Instant::now());
        if hub.borrow().stats.heartbeats > before {
            deadline = tokio::time::Instant::now() + patience;
        }
    }
}

/// The session whose dispatches a connection sends.
struct Attached {
    session_id: Box<str>,
    bell: Arc<Notify>,
}

/// Writes control payloads at once and dispatches as fast as the client reads.
async fn write(
    hub: &RefCell<Hub>,
    id: u64,
    mut sink: impl Sink<Message, Error = Error> + Unpin,
    mut orders: UnboundedReceiver<Control>,
    compression: Compression,
) -> Result<(), Error> {
    let mut encoder = Encoder::new(compression)?;
    let mut attached: Option<Attached> = None;
    loop {
        let order = match orders.try_recv() {
            Ok(order) => order,
            Err(_) => {
                let frame = attached
                    .as_ref()
                    .and_then(|attached| hub.borrow_mut().next_frame(id, &attached.session_id));
                if let Some(frame) = frame {
                    sink.feed(encoder.encode(frame)?).await?;
                    // The reader and the other connections share this thread.
                    tokio::task::yield_now().await;
                    continue;
                }
                sink.flush().await?;
                match wait(&mut orders, attached.as_ref()).await {
                    Some(order) => order,
                    None => continue,
                }
            }
        };
        match order {
            Control::Send(payload) => sink.send(encoder.encode(payload)?).await?,
            Control::Attach { session_id, bell } => attached = Some(Attached { session_id, bell }),
            Control::Abort => return Ok(()),
            Control::Close(code, reason) => {
                let code = CloseCode::try_from(code).ok();
                sink.send(Message::close(code, reason)).await?;
                return sink.close().await;
            }
        }
    }
}

/// Waits for an order, or for the session's bell, which gives `None`.
async fn wait(
    orders: &mut UnboundedReceiver<Control>,
    attached: Option<&Attached>,
) -> Option<Control> {
    let bell = async {
        match attached {
            Some(attached) => attached.bell.notified().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // The hub keeps a sender as long as the connection is known to it.
        order = orders.recv() => Some(order.unwrap_or(Control::Abort)),
        () = bell => None,
    }
}

/// Turns payloads into websocket messages.
enum Encoder {
    Text,
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Text,
            Compression::Zstd => {
                Self::Zstd(Box::new(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?))
            }
        })
    }

    fn encode(&mut self, payload: Bytes) -> io::Result<Message> {
        match self {
            Self::Text => Ok(Message::text(payload)),
            Self::Zstd(encoder) => {
                encoder.write_all(&payload)?;
                encoder.flush()?;
                Ok(Message::binary(std::mem::take(encoder.get_mut())))
            }
        }
    }
}

/// Closes a connection that may not even say hello.
pub(super) async fn refuse<S>(
    hub: Rc<RefCell<Hub>>,
    mut socket: WebSocketStream<S>,
    code: u16,
    reason: &'static str,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    *hub.borrow_mut().stats.close_codes_sent.entry(code).or_default() += 1;
    // The client may be gone already, which is as good as closed.
    let _ = socket.send(Message::close(CloseCode::try_from(code).ok(), reason)).await;
    let _ = socket.close().await;
}
