//! A server that answers as it is told, one request after the other.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::super::{Rest, RestOptions};
use crate::config::Secret;

pub(super) const TOKEN: &str = "token-that-nobody-may-see";

/// What to do with a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Answers.
    Reply(u16, Vec<(&'static str, String)>, String),
    /// Reads the request and closes the connection.
    Hang,
    /// Sends headers and half of a body, and no more.
    Stall,
}

/// What came in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Method and path with query.
    pub(super) line: String,
    pub(super) authorization: String,
    pub(super) user_agent: String,
    pub(super) body: Value,
}

/// A running server.
pub(super) struct Server {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    acts: Arc<Mutex<VecDeque<Act>>>,
}

pub(super) fn ok(body: &Value) -> Act {
    Act::Reply(200, vec![], body.to_string())
}

pub(super) fn error(status: u16, code: u64) -> Act {
    let body = serde_json::json!({ "message": "no", "code": code });
    Act::Reply(status, vec![], body.to_string())
}

impl Server {
    /// Serves `acts` in turn, then 500.
    pub(super) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let acts = Arc::new(Mutex::new(acts.into_iter().collect::<VecDeque<_>>()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = Self { url, seen: Arc::clone(&seen), acts: Arc::clone(&acts) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acts, seen) = (Arc::clone(&acts), Arc::clone(&seen));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&acts), Arc::clone(&seen))
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        server
    }

    pub(super) fn options(&self) -> RestOptions {
        RestOptions {
            api_url: self.url.clone(),
            token: Secret::new(TOKEN),
            total_timeout: Duration::from_secs(5),
            first_backoff: Duration::from_millis(1),
            max_attempts: 4,
            ..RestOptions::default()
        }
    }

    pub(super) fn rest(&self) -> Rest {
        Rest::new(self.options()).unwrap()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub(super) fn is_done(&self) -> bool {
        self.acts.lock().unwrap().is_empty()
    }
}

async fn answer(
    request: Request<Incoming>,
    acts: Arc<Mutex<VecDeque<Act>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name| {
        let value = head.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    };
    seen.lock().unwrap().push(Seen {
        line: format!("{} {}", head.method, head.uri),
        authorization: header("authorization"),
        user_agent: header("user-agent"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let act = acts.lock().unwrap().pop_front().unwrap_or_else(|| error(500, 0));
    match act {
        Act::Hang => Err(std::io::Error::other("as told")),
        Act::Stall => Ok(Response::new(Stalled(Some(Bytes::from_static(b"{\"id\":"))).boxed())),
        Act::Reply(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(Bytes::from(body)).boxed()).unwrap())
        }
    }
}

/// A body that never ends.
struct Stalled(Option<Bytes>);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(bytes) => std::task::Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => std::task::Poll::Pending,
        }
    }
}
