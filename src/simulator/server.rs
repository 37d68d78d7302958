//! The listener: one TCP port for REST and gateway.
//!
//! **Invariant:** everything runs on the simulator's own thread, so the hub needs no lock.

use std::{cell::RefCell, rc::Rc, time::Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::spawn_local};
use tokio_websockets::{Config, ServerBuilder};

use super::{
    connection::{self, Compression},
    hub::Hub,
    rest::{self, Reply},
};

/// What every websocket server appends to the client's key: RFC 6455, section 1.3.
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Discord takes bodies up to 25 MiB.
const MAX_BODY_BYTES: usize = 25 * 1024 * 1024;

/// Accepts connections for ever.
pub(super) async fn accept(hub: Rc<RefCell<Hub>>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if hub.borrow().refuses_connections {
            continue;
        }
        // Latency of small frames is measured against the simulator; failing to set this only slows it.
        let _ = stream.set_nodelay(true);
        let hub = Rc::clone(&hub);
        spawn_local(async move {
            let service = service_fn(|request| answer(Rc::clone(&hub), request));
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "http connection ended");
            }
        });
    }
}

/// A reply that never comes: the connection ends instead.
#[derive(Debug, thiserror::Error)]
#[error("the reply was lost on command")]
struct Lost;

async fn answer(
    hub: Rc<RefCell<Hub>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Lost> {
    if request.headers().contains_key(UPGRADE) {
        return Ok(upgrade(hub, request));
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(Reply::error(status, 40_005, "Request entity too large").into_response());
    };
    let outcome = rest::answer(&mut hub.borrow_mut(), &head, &body.to_bytes(), Instant::now());
    if !outcome.delay.is_zero() {
        tokio::time::sleep(outcome.delay).await;
    }
    outcome.reply.map(Reply::into_response).ok_or(Lost)
}

/// Turns a request into a gateway connection.
fn upgrade(hub: Rc<RefCell<Hub>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(accept) = request.headers().get(SEC_WEBSOCKET_KEY).and_then(accept_key) else {
        return status_only(StatusCode::BAD_REQUEST);
    };
    let query = request.uri().query().unwrap_or_default();
    let is_valid =
        !query.split('&').any(|pair| pair.starts_with("v=") && pair != "v=10" && pair != "v=9");
    let compression = if query.split('&').any(|pair| pair == "compress=zstd-stream") {
        Compression::Zstd
    } else {
        Compression::None
    };
    spawn_local(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        // A large buffer: GUILD_CREATEs come in a row, and each flush is a system call.
        let config = Config::default().flush_threshold(256 * 1024);
        let socket = ServerBuilder::new().config(config).serve(TokioIo::new(upgraded));
        if is_valid {
            connection::serve(hub, socket, compression).await;
        } else {
            connection::refuse(hub, socket, 4012, "Invalid API version.").await;
        }
    });
    let mut response = status_only(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn accept_key(key: &HeaderValue) -> Option<HeaderValue> {
    let mut digest = sha1_smol::Sha1::new();
    digest.update(key.as_bytes());
    digest.update(WEBSOCKET_GUID);
    HeaderValue::from_str(&STANDARD.encode(digest.digest().bytes())).ok()
}

fn status_only(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
