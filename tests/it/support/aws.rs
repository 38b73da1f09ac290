//! KMS and SQS by the local engine: started once for the whole binary, with the keys that the
//! template makes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kms::{
    primitives::Blob,
    types::{KeySpec, KeyUsageType},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
};
use testbed::DynamoEngine;
use tokio::sync::OnceCell;

/// The local engine and its keys.
pub(crate) struct LocalAws {
    /// Where it listens.
    pub(crate) endpoint: String,
    /// The merchant's RSA key, born in KMS.
    pub(crate) merchant_key_id: String,
    /// Its public half, SPKI PEM.
    pub(crate) merchant_public_key: String,
    /// A second RSA key, as PKCS#8, for the sealed variant.
    pub(crate) merchant_pkcs8: Vec<u8>,
    /// Its public half, SPKI PEM.
    pub(crate) sealed_public_key: String,
    /// Seals secrets.
    pub(crate) secrets_key_id: String,
    /// Seals fields.
    pub(crate) fields_key_id: String,
    _engine: local::engine::Engine,
}

static LOCAL: OnceCell<LocalAws> = OnceCell::const_new();

impl LocalAws {
    /// The one engine of this binary. It ends with the process.
    pub(crate) async fn get() -> &'static Self {
        LOCAL.get_or_init(Self::start).await
    }

    async fn start() -> Self {
        let engine = tokio::task::spawn_blocking(|| {
            local::engine::start(local::engine::Options {
                port: 0,
                state_dir: None,
            })
        })
        .await
        .expect("a thread")
        .expect("the local AWS engine");
        let endpoint = engine.endpoint();
        let kms = Aws::new(&AwsSettings::local(&endpoint), &Clock::system()).kms();
        let merchant_key_id = key(&kms, Some(KeySpec::Rsa2048)).await;
        let public_key = kms
            .get_public_key()
            .key_id(&merchant_key_id)
            .send()
            .await
            .expect("a public key");
        let sealed = KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        Self {
            merchant_public_key: pem(
                "PUBLIC KEY",
                public_key.public_key().map(Blob::as_ref).expect("DER"),
            ),
            merchant_key_id,
            sealed_public_key: pem(
                "PUBLIC KEY",
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(sealed.public_key())
                    .expect("SPKI")
                    .as_ref(),
            ),
            merchant_pkcs8: AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&sealed)
                .expect("PKCS#8")
                .as_ref()
                .to_vec(),
            secrets_key_id: key(&kms, None).await,
            fields_key_id: key(&kms, None).await,
            endpoint,
            _engine: engine,
        }
    }

    /// An HTTP client that sends DynamoDB's calls to `dynamodb` and all others to the local engine.
    /// `hidden` notes for how long messages were hidden.
    pub(crate) fn split(&self, dynamodb: &str, hidden: HiddenTimes) -> SharedHttpClient {
        SharedHttpClient::new(Split {
            dynamodb: dynamodb.to_owned(),
            hidden,
            inner: aws_smithy_http_client::Builder::new().build_http(),
        })
    }
}

async fn key(kms: &aws_sdk_kms::Client, spec: Option<KeySpec>) -> String {
    let usage = spec.as_ref().map(|_| KeyUsageType::SignVerify);
    let made = kms
        .create_key()
        .set_key_spec(spec)
        .set_key_usage(usage)
        .send()
        .await
        .expect("a KMS key");
    made.key_metadata().expect("metadata").key_id().to_owned()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// An engine's content as plain text, to search for what must or must not be there.
pub(crate) async fn items(
    engine: &DynamoEngine,
    table: &str,
    key: &str,
    prefix: &str,
) -> Vec<BTreeMap<String, String>> {
    let scanned = engine
        .client(&Clock::system())
        .scan()
        .table_name(table)
        .send()
        .await
        .expect("a scan");
    let plain = |value: &AttributeValue| {
        let text = value.as_s().or_else(|_| value.as_n()).cloned();
        text.unwrap_or_else(|other| format!("{other:?}"))
    };
    let items = scanned.items().iter().map(|item| {
        item.iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect::<BTreeMap<_, _>>()
    });
    items
        .filter(|item| item.get(key).is_some_and(|value| value.starts_with(prefix)))
        .collect()
}

/// Two engines behind one client: the SDK knows one endpoint, so the switch is by what a call is
/// for.
#[derive(Clone)]
struct Split {
    dynamodb: String,
    hidden: HiddenTimes,
    inner: SharedHttpClient,
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Split")
    }
}

#[derive(Debug)]
struct SplitConnector {
    dynamodb: String,
    hidden: HiddenTimes,
    inner: SharedHttpConnector,
}

impl HttpClient for Split {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(SplitConnector {
            dynamodb: self.dynamodb.clone(),
            hidden: self.hidden.clone(),
            inner,
        })
    }
}

impl HttpConnector for SplitConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        if request
            .headers()
            .get("x-amz-target")
            .is_some_and(|target| target.starts_with("DynamoDB"))
        {
            request
                .set_uri(format!("{}/", self.dynamodb))
                .expect("a URI");
        }
        undelay(&mut request);
        self.hidden.note(&request);
        self.inner.call(request)
    }
}

/// For how long the functions hid messages that failed, in seconds, in order. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct HiddenTimes(Arc<Mutex<Vec<i64>>>);

impl HiddenTimes {
    /// The times so far.
    pub(crate) fn times_s(&self) -> Vec<i64> {
        self.0.lock().expect("no panic").clone()
    }

    fn note(&self, request: &HttpRequest) {
        let body = request
            .body()
            .bytes()
            .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok());
        let time_s = body.and_then(|body| body["VisibilityTimeout"].as_i64());
        self.0.lock().expect("no panic").extend(time_s);
    }
}

/// SQS's clock is not the test's: a message that is to wait is there at once, and the test moves
/// its own clock.
fn undelay(request: &mut HttpRequest) {
    let Some(mut body) = request
        .body()
        .bytes()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok())
    else {
        return;
    };
    if body.get("DelaySeconds").is_none() {
        return;
    }
    body["DelaySeconds"] = 0.into();
    let body = body.to_string();
    request
        .headers_mut()
        .insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
}
