//! The wire between reqwest and the simulator: a loopback relay in front of WeChat Pay, one for
//! each sandbox. The receiver of webhooks has the same ([`super::receiver`]).
//!
//! It reads whole requests and answers byte by byte, gives each call its turn, and applies its
//! fault: the connection breaks before or after, an answer is replaced, the sandbox dies. It stores
//! all traffic for the checks.

use std::{future::Future, sync::Arc};

use runtime::clock::Clock;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::engine::{
    call::{BILL_FILE, Call, CallFault, Function, Service},
    director::{CallScheduler, Liveness},
    exchanges::{Exchange, Exchanges},
    release::SandboxClock,
};

/// One call's share of the time at most, which a caller waits for an answer (`CALL_MS_MAX` of the
/// flows), in milliseconds.
const CALL_LIMIT_MS: i64 = 3_000;

/// A relay at work. It ends, and its connections with it, when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    /// What takes the place of WeChat Pay's address.
    pub(crate) url: String,
    accepting: JoinHandle<()>,
}

/// What a relay needs to know.
#[derive(Clone)]
pub(crate) struct Ends {
    pub(crate) function: Function,
    pub(crate) line: Liveness,
    pub(crate) director: CallScheduler,
    /// The sandbox's clock: a time-out passes on it.
    pub(crate) clock: SandboxClock,
    pub(crate) deployment_clock: Clock,
    /// `127.0.0.1:port` of the simulator.
    pub(crate) simulator: String,
    pub(crate) exchanges: Arc<Exchanges>,
}

/// What carries a request on and brings an answer back.
pub(crate) trait Carry: Clone + Send + Sync + 'static {
    /// `None` breaks the connection.
    fn carry(&self, request: &Message) -> impl Future<Output = Option<Vec<u8>>> + Send;
}

impl Relay {
    pub(crate) async fn open(ends: impl Carry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, ends.clone()));
            }
        });
        Self { url, accepting }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves one connection until either end, or a fault, closes it.
async fn serve(mut stream: TcpStream, ends: impl Carry) {
    while let Some(request) = read(&mut stream).await {
        let Some(answer) = ends.carry(&request).await else {
            return;
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

impl Carry for Ends {
    /// To the simulator.
    async fn carry(&self, request: &Message) -> Option<Vec<u8>> {
        let asked_ms = self.deployment_clock.now_ms();
        let (fate, turn) = self.director.pass(&self.line, self.call(request)).await;
        // Others had so much time before this call that its caller has given it up.
        let waited_ms = self.deployment_clock.now_ms() - asked_ms;
        if fate.is_none() && waited_ms > CALL_LIMIT_MS {
            self.clock.advance_ms(waited_ms);
            return None;
        }
        let answer = match fate {
            None => Some(self.send(request).await),
            Some(fault) if fault.takes_effect() => Some(self.send(request).await),
            Some(_) => None,
        };
        match fate {
            None => answer.map(|answer| answer.bytes),
            Some(CallFault::Probe) => answer.map(|answer| answer.probed()),
            Some(CallFault::DieBefore | CallFault::DieAfter) => {
                self.line.cut();
                drop(turn);
                None
            }
            Some(CallFault::ServerError | CallFault::ServerErrorAfter) => {
                Some(refusal("500 Internal Server Error", "SYSTEM_ERROR"))
            }
            Some(CallFault::Throttled) => {
                Some(refusal("429 Too Many Requests", "FREQUENCY_LIMITED"))
            }
            Some(CallFault::TimedOut) => {
                self.clock.advance_ms(CALL_LIMIT_MS);
                None
            }
            Some(
                CallFault::Unreachable
                | CallFault::LostAnswer
                | CallFault::Conflict
                | CallFault::Stale,
            ) => None,
        }
    }
}

impl Ends {
    async fn send(&self, request: &Message) -> Message {
        let mut stream = TcpStream::connect(&self.simulator)
            .await
            .expect("the simulator");
        stream
            .write_all(&request.bytes)
            .await
            .expect("the simulator takes a request");
        let answer = read(&mut stream).await.expect("the simulator answers");
        let (method, path) = request.method_and_path();
        self.exchanges.add(Exchange {
            at_ms: self.clock.now_ms(),
            endpoint: endpoint(method, path),
            asked: serde_json::from_slice(request.body()).unwrap_or(Value::Null),
            answered: serde_json::from_slice(answer.body()).unwrap_or(Value::Null),
            request_id: answer.header("request-id").unwrap_or_default().to_owned(),
        });
        answer
    }

    fn call(&self, request: &Message) -> Call {
        let (method, path) = request.method_and_path();
        let body: Value = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        let named = ["out_refund_no", "out_trade_no"]
            .iter()
            .find_map(|name| body[*name].as_str());
        let endpoint = endpoint(method, path);
        let about = match endpoint {
            "trade-bill" | "fund-bill" => asked_in(path),
            BILL_FILE => "", // the token is another each time
            _ => named.unwrap_or_else(|| number_in(path)),
        };
        Call {
            function: self.function,
            service: Service::WechatPay,
            operation: endpoint.to_owned(),
            about: about.to_owned(),
            writes: method == "POST",
            reads_index: false,
        }
    }
}

/// A short name for what is called.
fn endpoint(method: &str, path: &str) -> &'static str {
    let path = path.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').skip(2).collect();
    match (method, segments.as_slice()) {
        ("POST", ["pay", "transactions", _]) => "prepay",
        ("POST", ["pay", "transactions", "out-trade-no", _, "close"]) => "close",
        ("GET", ["pay", "transactions", "out-trade-no", _]) => "query",
        ("GET", ["pay", "transactions", "id", _]) => "query-by-id",
        ("POST", ["refund", "domestic", "refunds"]) => "refund",
        ("GET", ["refund", "domestic", "refunds", _]) => "query-refund",
        ("POST", ["refund", "domestic", "refunds", _, "apply-abnormal-refund"]) => {
            "abnormal-refund"
        }
        ("GET", ["bill", "tradebill"]) => "trade-bill",
        ("GET", ["bill", "fundflowbill"]) => "fund-bill",
        ("GET", ["billdownload", "file"]) => BILL_FILE,
        _ => "other",
    }
}

/// What is asked behind a path.
fn asked_in(path: &str) -> &str {
    path.split_once('?').map_or("", |(_, asked)| asked)
}

/// The number in a path: the segment behind `out-trade-no`, `id` or `refunds`.
fn number_in(path: &str) -> &str {
    let mut segments = path.split(['/', '?']);
    segments.find(|segment| ["out-trade-no", "id", "refunds"].contains(segment));
    segments.next().unwrap_or_default()
}

/// A request or an answer as it was on the wire.
pub(crate) struct Message {
    bytes: Vec<u8>,
    /// How long the head is, with the empty line.
    head: usize,
}

/// Reads one message; `None` when the connection ends first.
async fn read(stream: &mut TcpStream) -> Option<Message> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let message = Message {
                head: head + 4,
                bytes,
            };
            let missing = (message.head + message.body_length()).checked_sub(message.bytes.len());
            match missing {
                Some(0) | None => return Some(message),
                Some(missing) => {
                    let mut bytes = message.bytes;
                    let known = bytes.len();
                    bytes.resize(known + missing, 0);
                    stream.read_exact(&mut bytes[known..]).await.ok()?;
                    return Some(Message {
                        head: message.head,
                        bytes,
                    });
                }
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

impl Message {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.head]).expect("a head of ASCII")
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .text()
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn body_length(&self) -> usize {
        self.header("content-length")
            .map_or(0, |length| length.parse().expect("a length"))
    }

    fn method_and_path(&self) -> (&str, &str) {
        let mut words = self.text().split(' ');
        (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        )
    }

    /// The same answer with a probe for a signature. An answer without a signature stays as it is.
    fn probed(&self) -> Vec<u8> {
        let lines = self
            .text()
            .trim_end()
            .lines()
            .map(|line| match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("wechatpay-signature") => {
                    format!(
                        "{name}: WECHATPAY/SIGNTEST/{}",
                        &value[..value.len().saturating_sub(20)]
                    )
                }
                Some(_) | None => line.to_owned(),
            });
        let head = lines.collect::<Vec<_>>().join("\r\n");
        [head.as_bytes(), b"\r\n\r\n", self.body()].concat()
    }
}

/// An error answer of WeChat Pay's, unsigned as all of them.
fn refusal(status: &str, code: &str) -> Vec<u8> {
    let body = format!(r#"{{"code":"{code}","message":"by the harness"}}"#);
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
