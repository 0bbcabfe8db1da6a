//! One request through the proxy.
//!
//! May not: decide on a fault. The rules have; here it is carried out.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use http::header::HeaderValue;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::jiff::SignedDuration;
use k8s_openapi::jiff::fmt::rfc2822;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::journal::Seen;
use super::rules::{Fault, Moment};
use super::{Shared, Stream};

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Cuts the connection: hyper closes it when a service fails.
#[derive(Debug, thiserror::Error)]
#[error("the proxy cut this connection")]
struct Cut;

pub(super) async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((connection, _)) = listener.accept().await else {
            return;
        };
        // Small writes of a watch must not wait for each other.
        let _ = connection.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| pass(Arc::clone(&shared), request));
            // An error here is a connection that one of the two sides gave up.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}

async fn pass(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    // Server-side apply may be YAML on the wire; a client of ours sends JSON, which is all that the journal reads.
    let shown = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (seen, faults) = shared.enter(parts.method.as_str(), parts.uri.path(), &query, shown);
    for fault in &faults {
        match fault {
            Fault::Delay(time) => tokio::time::sleep(*time).await,
            Fault::Switch(Moment::BeforeForwarding, switch) => {
                switch();
                return Err(Cut);
            }
            Fault::LoseRequest => return Err(Cut),
            Fault::Answer {
                status,
                retry_after,
            } => {
                shared.note(&seen, |entry| entry.status = Some(*status));
                return refusal(*status, *retry_after);
            }
            Fault::Switch(..) | Fault::LoseAnswer | Fault::Misdate(_) => {}
        }
    }

    let mut forwarded = Request::builder()
        .method(parts.method)
        .uri(path_and_query(&seen));
    if let Some(headers) = forwarded.headers_mut() {
        *headers = passed_on(&parts.headers);
    }
    let forwarded = forwarded.body(Body::from(body)).map_err(|_| Cut)?;
    shared.note(&seen, |entry| entry.forwarded = true);
    let Ok(answer) = shared.upstream.send(forwarded).await else {
        // A server that is down is a connection that breaks, not a proxy that explains.
        return Err(Cut);
    };
    let (head, body) = answer.into_parts();
    let status = head.status;
    let streams = seen.is_watch() || seen.query.split('&').any(|part| part == "follow=true");
    let mut response = Response::builder().status(status);
    if let Some(headers) = response.headers_mut() {
        *headers = passed_on(&head.headers);
        headers.remove(header::CONTENT_LENGTH);
        for fault in &faults {
            if let Fault::Misdate(seconds) = fault {
                misdate(headers, *seconds);
            }
        }
    }
    if streams && status.is_success() {
        shared.note(&seen, |entry| entry.status = Some(status.as_u16()));
        return response.body(stream(shared, seen, body)).map_err(|_| Cut);
    }
    let bytes = body.collect().await.map_err(|_| Cut)?.to_bytes();
    for fault in &faults {
        match fault {
            Fault::Switch(Moment::BeforeAnswering, switch) => {
                switch();
                return Err(Cut);
            }
            Fault::LoseAnswer => return Err(Cut),
            _ => {}
        }
    }
    shared.note(&seen, |entry| entry.status = Some(status.as_u16()));
    for fault in faults {
        if let Fault::Switch(Moment::AfterAnswering, switch) = fault {
            tokio::spawn(async move {
                // The answer is written when this function has returned; a client on loopback has it well before this.
                tokio::time::sleep(Duration::from_millis(30)).await;
                switch();
            });
        }
    }
    response.body(whole(bytes)).map_err(|_| Cut)
}

/// Passes a watch on, one frame at a time, as long as no one freezes or cuts it.
fn stream(shared: Arc<Shared>, seen: Seen, body: Body) -> UnsyncBoxBody<Bytes, io::Error> {
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, io::Error>>(1);
    shared.lock().streams.insert(
        seen.sequence,
        Stream {
            request: seen.clone(),
            cut: false,
        },
    );
    tokio::spawn(async move {
        let mut turn = shared.turn.subscribe();
        let mut upstream = body.into_data_stream();
        let mut held: Option<Bytes> = None;
        loop {
            let (cut, frozen) = shared.standing(&seen);
            if cut {
                let _ = sender
                    .send(Err(io::Error::from(io::ErrorKind::ConnectionReset)))
                    .await;
                break;
            }
            if !frozen && let Some(bytes) = held.take() {
                if sender.send(Ok(Frame::data(bytes))).await.is_err() {
                    break;
                }
                continue;
            }
            tokio::select! {
                changed = turn.changed() => if changed.is_err() { break },
                () = sender.closed() => break,
                next = upstream.next(), if held.is_none() => match next {
                    Some(Ok(bytes)) => held = Some(bytes),
                    Some(Err(_)) => {
                        let _ = sender.send(Err(io::Error::from(io::ErrorKind::ConnectionReset))).await;
                        break;
                    }
                    // A frozen stream does not even end.
                    None if frozen => shared.thawed(&seen, &mut turn).await,
                    None => break,
                },
            }
        }
        shared.lock().streams.remove(&seen.sequence);
    });
    let frames = futures::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Shared {
    /// Whether a stream is cut, and whether it is frozen.
    fn standing(&self, seen: &Seen) -> (bool, bool) {
        let state = self.lock();
        let cut = state
            .streams
            .get(&seen.sequence)
            .is_none_or(|stream| stream.cut);
        (cut, state.frozen.values().any(|matcher| matcher(seen)))
    }

    async fn thawed(&self, seen: &Seen, turn: &mut tokio::sync::watch::Receiver<()>) {
        while self.standing(seen) == (false, true) {
            if turn.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The headers without those that are about one connection.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in [
        header::HOST,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::TE,
        header::UPGRADE,
    ] {
        kept.remove(name);
    }
    kept
}

/// The date of an answer as a server says it whose clock is so many seconds ahead.
fn misdate(headers: &mut HeaderMap, seconds: i64) {
    let dated = headers.get(header::DATE).and_then(|text| {
        let zoned = rfc2822::parse(text.to_str().ok()?).ok()?;
        let shown = zoned
            .timestamp()
            .checked_add(SignedDuration::from_secs(seconds))
            .ok()?;
        let text = rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&shown)
            .ok()?;
        HeaderValue::from_str(&text).ok()
    });
    if let Some(dated) = dated {
        headers.insert(header::DATE, dated);
    }
}

fn path_and_query(seen: &Seen) -> String {
    if seen.query.is_empty() {
        seen.path.clone()
    } else {
        format!("{}?{}", seen.path, seen.query)
    }
}

/// A refusal as the API server would word it.
fn refusal(status: u16, retry_after: Option<u32>) -> Result<Answer, Cut> {
    let code = StatusCode::from_u16(status).map_err(|_| Cut)?;
    let reason = match status {
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let mut details = json!({});
    let mut response = Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
        details["retryAfterSeconds"] = json!(seconds);
    }
    let text = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused by the fault proxy", "reason": reason, "details": details, "code": status,
    });
    response
        .body(whole(Bytes::from(text.to_string())))
        .map_err(|_| Cut)
}

fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}
