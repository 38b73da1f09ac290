//! The merchant's side of the API: requests signed as a client signs them, and answers taken apart.

use http::{HeaderMap, Request, Response};
use message_signatures::{Params, Profile, SigningKey, sign};
use payments::model::permissions::Permissions;
use runtime::random::Random;
use serde_json::Value;
use stores::keys_table::{KeysTable, client_keys::NewClientKey};

use super::Testbed;

/// Host of the API in all tests.
pub(crate) const AUTHORITY: &str = "api.example.com";

/// A client of the API with its key.
pub(crate) struct Client {
    /// The key's id.
    pub(crate) keyid: String,
    key: SigningKey,
}

/// A request before it is signed, so that a test can spoil it at any stage.
pub(crate) struct Draft<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) created_s: i64,
    pub(crate) nonce: Option<String>,
}

impl Client {
    /// Registers a client with an HMAC key that may do everything.
    pub(crate) async fn register(keys: &KeysTable, name: &str, random: &Random) -> Self {
        let keyid = format!("{name}-key");
        let of = NewClientKey {
            keyid: &keyid,
            client_id: name,
            permissions: &Permissions::all(),
        };
        Self::register_key(keys, of, random).await
    }

    /// Registers an HMAC key, as set-up does.
    pub(crate) async fn register_key(
        keys: &KeysTable,
        of: NewClientKey<'_>,
        random: &Random,
    ) -> Self {
        let secret = random.bytes::<32>();
        let put = keys.put_client_hmac(of, &secret);
        put.await.expect("a client's key");
        Self {
            keyid: of.keyid.to_owned(),
            key: SigningKey::from_secret(&secret).expect("a secret"),
        }
    }

    /// A client with a key that was registered otherwise.
    pub(crate) fn with_key(keyid: &str, key: SigningKey) -> Self {
        Self {
            keyid: keyid.to_owned(),
            key,
        }
    }

    /// A signed POST with a fresh nonce.
    pub(crate) fn post(&self, path: &str, body: &Value, testbed: &Testbed) -> Request<Vec<u8>> {
        self.post_with(path, body, &[], testbed)
    }

    /// A signed POST with further headers.
    pub(crate) fn post_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
        testbed: &Testbed,
    ) -> Request<Vec<u8>> {
        let mut all = vec![("content-type", "application/json".to_owned())];
        all.extend(
            headers
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        self.sign(Draft {
            method: "POST",
            path,
            headers: all,
            body: body.to_string().into_bytes(),
            created_s: testbed.clock.now().0,
            nonce: Some(testbed.random.nonce()),
        })
    }

    /// A signed GET.
    pub(crate) fn get(&self, path: &str, testbed: &Testbed) -> Request<Vec<u8>> {
        self.sign(Draft {
            method: "GET",
            path,
            headers: Vec::new(),
            body: Vec::new(),
            created_s: testbed.clock.now().0,
            nonce: None,
        })
    }

    /// Signs a draft.
    pub(crate) fn sign(&self, draft: Draft<'_>) -> Request<Vec<u8>> {
        let headers: Vec<(&str, &[u8])> = draft
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let (path, query) = draft
            .path
            .split_once('?')
            .map_or((draft.path, None), |(path, query)| (path, Some(query)));
        let request = message_signatures::Request {
            method: draft.method,
            scheme: "https",
            authority: AUTHORITY,
            path,
            query,
            headers: &headers,
            body: &draft.body,
        };
        let params = Params {
            keyid: &self.keyid,
            created_s: draft.created_s,
            expires_s: None,
            nonce: draft.nonce.as_deref(),
        };
        let fields =
            sign(&request, &params, &self.key, &Profile::MERCHANT_API).expect("a signature");
        let mut built = Request::builder()
            .method(draft.method)
            .uri(draft.path)
            .header("host", AUTHORITY);
        for (name, value) in &draft.headers {
            built = built.header(*name, value);
        }
        for (name, value) in fields.iter() {
            built = built.header(name, value);
        }
        built.body(draft.body).expect("a request")
    }
}

#[derive(Debug)]
pub(crate) struct ApiAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `null` when there is none.
    pub(crate) body: Value,
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

    /// The `code` of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `code_url` of a native order.
    pub(crate) fn code_url(&self) -> &str {
        self.body["prepay"]["code_url"].as_str().unwrap_or_default()
    }
}
