//! A careful client of the merchant API: it signs each attempt again and repeats the same request,
//! with the same body and number, until it has a definite answer.

use http::{HeaderMap, Request, Response};
use message_signatures::{Params, Profile, SigningKey, sign};
use serde_json::Value;

/// Host of the API.
const AUTHORITY: &str = "api.example.com";

/// A careful client gives up after so many tries.
const TRIES_MAX: u32 = 40;

/// A client with its key.
pub(crate) struct Client {
    pub(crate) keyid: String,
    key: SigningKey,
}

/// Something that a client wants done, and how far it is.
#[derive(Clone, Debug)]
pub(crate) struct PendingRequest {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
    /// Problems that are an answer, too: what is asked for may have become impossible meanwhile.
    pub(crate) refusals: Vec<&'static str>,
    /// How often it is asked for at most.
    pub(crate) tries_max: u32,
    /// How often it was asked for.
    pub(crate) tries: u32,
    /// The answer that counts, once it has come.
    pub(crate) answer: Option<ApiAnswer>,
    /// When it is asked for again, by the deployment's clock in Unix milliseconds.
    pub(crate) again_ms: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct ApiAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `null` when there is none.
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(keyid: &str, secret: &[u8; 32]) -> Self {
        Self {
            keyid: keyid.to_owned(),
            key: SigningKey::from_secret(secret).expect("a secret"),
        }
    }

    /// A pending request, signed at `now_s`.
    pub(crate) fn request(
        &self,
        pending: &PendingRequest,
        now_s: i64,
        nonce: &str,
    ) -> Request<Vec<u8>> {
        let body = pending
            .body
            .as_ref()
            .map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let mut headers: Vec<(&str, &[u8])> = pending
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        if pending.body.is_some() {
            headers.push(("content-type", b"application/json"));
        }
        let unsigned = message_signatures::Request {
            method: pending.method,
            scheme: "https",
            authority: AUTHORITY,
            path: &pending.path,
            query: None,
            headers: &headers,
            body: &body,
        };
        let params = Params {
            keyid: &self.keyid,
            created_s: now_s,
            expires_s: None,
            nonce: (pending.method == "POST").then_some(nonce),
        };
        let fields =
            sign(&unsigned, &params, &self.key, &Profile::MERCHANT_API).expect("a signature");
        let mut request = Request::builder()
            .method(pending.method)
            .uri(&pending.path)
            .header("host", AUTHORITY);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        for (name, value) in fields.iter() {
            request = request.header(name, value);
        }
        request.body(body).expect("a request")
    }
}

impl PendingRequest {
    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::get_by("POST", path)
        }
    }

    /// A POST without a body.
    pub(crate) fn bare_post(path: impl Into<String>) -> Self {
        Self::get_by("POST", path)
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::get_by("GET", path)
    }

    fn get_by(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: None,
            refusals: Vec::new(),
            tries_max: TRIES_MAX,
            tries: 0,
            answer: None,
            again_ms: 0,
        }
    }

    /// The same with a further header.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same, where this problem is an answer, too.
    pub(crate) fn or(mut self, code: &'static str) -> Self {
        self.refusals.push(code);
        self
    }

    /// The same for a client that sends the request once and never again, whatever the result.
    pub(crate) fn once(mut self) -> Self {
        self.tries_max = 1;
        self
    }

    /// Whether it is to be asked for again.
    pub(crate) fn is_open(&self) -> bool {
        self.answer.is_none() && self.tries < self.tries_max
    }

    /// Records an answer, or that none came. Without a definite answer the request is repeated at
    /// the time it names, or after a second, two, four and so on up to a minute.
    pub(crate) fn take(&mut self, answer: Option<ApiAnswer>, now_ms: i64) {
        self.tries += 1;
        let wait_s = match answer {
            Some(answer) if answer.counts() => {
                self.answer = Some(answer);
                return;
            }
            Some(answer) => answer.retry_after_s(),
            None => None,
        };
        let wait_s = wait_s
            .unwrap_or_else(|| 1_i64 << self.tries.min(6).saturating_sub(1))
            .min(60);
        self.again_ms = now_ms + wait_s * 1000;
    }
}

impl ApiAnswer {
    pub(crate) fn of(response: Response<String>) -> Self {
        let (parts, body) = response.into_parts();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&body).expect("JSON")
        };
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    /// Whether it is the last word on a request: anything but "later", "again" and "in progress".
    fn counts(&self) -> bool {
        self.status < 500 && self.status != 429 && self.code() != "in_progress"
    }

    fn retry_after_s(&self) -> Option<i64> {
        self.headers.get("retry-after")?.to_str().ok()?.parse().ok()
    }

    /// The `code` of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}
