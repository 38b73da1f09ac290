//! Group robots and a merchant's system, which hold senders to their makers' limits: signatures,
//! sizes, messages a minute and a second, and the penalty after.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State as Shared},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use operator_channels::Kind;
use runtime::clock::Clock;
use serde_json::{Value, json};
use standard_webhooks::{Received, Secret, verify};

/// In each address: what lets one in.
pub(super) const TOKEN: &str = "t0k3n-of-the-robot";
/// What DingTalk's and Feishu's robots sign with.
pub(super) const SECRET: &str = "SEC0123456789abcdef";
const WEBHOOK_SECRET: &str = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// How a robot does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Well,
    /// Nothing listens.
    Refused,
    /// It takes the request and never answers.
    Hangs,
    /// It answers so to whatever comes.
    Status(u16),
    /// 200, with this code.
    Code(i64),
    /// 200, with a page.
    Garbage,
    /// It takes the message, and its answer is lost.
    LosesAnswers,
}

#[derive(Clone)]
pub(crate) struct Robot {
    kind: Kind,
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    kind: Kind,
    clock: Clock,
    state: State,
    texts: Vec<String>,
    /// When messages were taken (milliseconds).
    taken_ms: Vec<i64>,
    punished_until_ms: i64,
    /// How often it had to refuse for its limit.
    over_limit: usize,
}

impl Robot {
    pub(crate) async fn start(kind: Kind, clock: &Clock) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let inner = Arc::new(Mutex::new(Inner {
            kind,
            clock: clock.clone(),
            state: State::Well,
            texts: Vec::new(),
            taken_ms: Vec::new(),
            punished_until_ms: 0,
            over_limit: 0,
        }));
        let router = Router::new().fallback(take).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { kind, port, inner }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn url(&self) -> String {
        let port = self.port;
        format!("http://127.0.0.1:{port}/robot/send?access_token={TOKEN}")
    }

    pub(super) fn secret(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Dingtalk | Kind::Feishu => Some(SECRET),
            Kind::Webhook => Some(WEBHOOK_SECRET),
            Kind::Wecom | Kind::Sns => None,
        }
    }

    pub(crate) fn turns(&self, state: State) {
        self.inner().state = state;
    }

    /// What it showed to people.
    pub(super) fn texts(&self) -> Vec<String> {
        self.inner().texts.clone()
    }

    pub(super) fn over_limit(&self) -> usize {
        self.inner().over_limit
    }

    /// Somebody else sends to the same robot.
    pub(super) fn others_send(&self, count: usize) {
        let mut inner = self.inner();
        let now_ms = inner.clock.now_ms();
        inner.taken_ms.extend(vec![now_ms; count]);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("not poisoned")
    }
}

async fn take(
    Shared(robot): Shared<Arc<Mutex<Inner>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let state = robot.lock().expect("not poisoned").state;
    match state {
        State::Well => {}
        // The connection is closed without an answer, as by a host that is not there.
        State::Refused | State::LosesAnswers => {
            if state == State::LosesAnswers {
                let mut robot = robot.lock().expect("not poisoned");
                robot.answer(&query.unwrap_or_default(), &headers, &body);
            }
            panic!("the connection breaks");
        }
        State::Hangs => tokio::time::sleep(Duration::from_secs(60)).await,
        State::Status(status) => {
            let to = (header::LOCATION, "http://127.0.0.1:1/");
            return (StatusCode::from_u16(status).expect("a status"), [to]).into_response();
        }
        State::Code(code) => {
            return json!({"errcode": code, "errmsg": "no", "code": code, "msg": "no"})
                .to_string()
                .into_response();
        }
        State::Garbage => return "<html>sign in</html>".into_response(),
    }
    let mut robot = robot.lock().expect("not poisoned");
    robot.answer(&query.unwrap_or_default(), &headers, &body)
}

impl Inner {
    fn answer(&mut self, query: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let now_ms = self.clock.now_ms();
        if self.kind == Kind::Webhook {
            let header = |name: &str| headers.get(name)?.to_str().ok();
            let received = Received::read(header).expect("signed");
            let secret = Secret::parse(WEBHOOK_SECRET).expect("a secret");
            verify(&received, body, &[secret], now_ms / 1_000).expect("ours");
            let said: Value = serde_json::from_slice(body).expect("JSON");
            assert_eq!(said["type"], "operators.notified");
            assert!(said["alarms"][0]["name"].is_string());
            self.texts
                .push(said["text"].as_str().expect("a text").to_owned());
            return StatusCode::NO_CONTENT.into_response();
        }
        let code = self.code(query, headers, body, now_ms);
        let message = if code == 0 { "ok" } else { "refused" };
        // Each maker has its own members.
        let answer = match self.kind {
            Kind::Feishu => json!({"code": code, "msg": message, "data": {}}),
            Kind::Wecom | Kind::Dingtalk | Kind::Webhook | Kind::Sns => {
                json!({"errcode": code, "errmsg": message})
            }
        };
        answer.to_string().into_response()
    }

    /// The code that its maker documents.
    fn code(&mut self, query: &str, headers: &HeaderMap, body: &[u8], now_ms: i64) -> i64 {
        let is_json = headers
            .get("content-type")
            .is_some_and(|kind| kind == "application/json");
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let (wants_kind, pointer) = match self.kind {
            Kind::Feishu => ("/msg_type", "/content/text"),
            Kind::Wecom | Kind::Dingtalk | Kind::Webhook | Kind::Sns => {
                ("/msgtype", "/text/content")
            }
        };
        let text = said.pointer(pointer).and_then(Value::as_str);
        let Some(text) =
            text.filter(|_| is_json && said.pointer(wants_kind) == Some(&json!("text")))
        else {
            return 40_008;
        };
        match self.kind {
            Kind::Wecom if text.len() > 2_048 => return 40_058,
            Kind::Dingtalk if body.len() > 20_000 => return 460_101,
            Kind::Feishu if body.len() > 20 * 1_024 => return 9_499,
            Kind::Wecom | Kind::Dingtalk | Kind::Feishu | Kind::Webhook | Kind::Sns => {}
        }
        let is_signed = match self.kind {
            Kind::Dingtalk => dingtalk_signed(query, now_ms),
            Kind::Feishu => feishu_signed(&said, now_ms),
            Kind::Wecom | Kind::Webhook | Kind::Sns => true,
        };
        if !is_signed {
            return if self.kind == Kind::Feishu {
                19_021
            } else {
                310_000
            };
        }
        if let Some(code) = self.limited(now_ms) {
            self.over_limit += 1;
            return code;
        }
        self.taken_ms.push(now_ms);
        self.texts.push(text.to_owned());
        0
    }

    fn limited(&mut self, now_ms: i64) -> Option<i64> {
        let within = |span_ms| {
            let recent = self
                .taken_ms
                .iter()
                .filter(|at_ms| **at_ms > now_ms - span_ms);
            recent.count()
        };
        match self.kind {
            Kind::Wecom => (within(60_000) >= 20).then_some(45_009),
            Kind::Dingtalk => {
                if within(60_000) >= 20 {
                    self.punished_until_ms = now_ms + 600_000;
                }
                (now_ms < self.punished_until_ms).then_some(130_101)
            }
            Kind::Feishu => (within(1_000) >= 5 || within(60_000) >= 100).then_some(11_232),
            Kind::Webhook | Kind::Sns => None,
        }
    }
}

fn dingtalk_signed(query: &str, now_ms: i64) -> bool {
    let pairs: Vec<(String, String)> = form_pairs(query);
    let get = |name: &str| {
        let mut found = pairs.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    };
    let (Some(timestamp), Some(sign)) = (get("timestamp"), get("sign")) else {
        return false;
    };
    let fresh = timestamp
        .parse::<i64>()
        .is_ok_and(|at_ms| (now_ms - at_ms).abs() < 3_600_000);
    let expected = hmac_sha256(
        SECRET.as_bytes(),
        format!("{timestamp}\n{SECRET}").as_bytes(),
    );
    fresh && get("access_token") == Some(TOKEN) && sign == STANDARD.encode(expected)
}

fn feishu_signed(said: &Value, now_ms: i64) -> bool {
    let (Some(timestamp), Some(sign)) = (said["timestamp"].as_str(), said["sign"].as_str()) else {
        return false;
    };
    let fresh = timestamp
        .parse::<i64>()
        .is_ok_and(|at_s| (now_ms / 1_000 - at_s).abs() < 3_600);
    let expected = hmac_sha256(format!("{timestamp}\n{SECRET}").as_bytes(), b"");
    fresh && sign == STANDARD.encode(expected)
}

fn form_pairs(query: &str) -> Vec<(String, String)> {
    let plain = |text: &str| {
        text.replace("%2B", "+")
            .replace("%2F", "/")
            .replace("%3D", "=")
    };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), plain(value)))
        .collect()
}

/// RFC 2104 over SHA-256, written out: not the function that signs.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    use aws_lc_rs::digest::{SHA256, digest};
    let mut block = [0_u8; 64];
    let hashed = digest(&SHA256, key);
    let short = if key.len() > block.len() {
        hashed.as_ref()
    } else {
        key
    };
    block[..short.len()].copy_from_slice(short);
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = digest(&SHA256, &[&padded(0x36)[..], message].concat());
    digest(&SHA256, &[&padded(0x5c)[..], inner.as_ref()].concat())
        .as_ref()
        .to_vec()
}
