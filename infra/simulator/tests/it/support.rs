//! A merchant's client and a receiver of callbacks, both written from WeChat Pay's documents.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rsa::{
    PrivateKey, PublicKey,
    pkcs1v15::{Signature, SigningKey, VerifyingKey},
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey, LineEnding},
    sha2::Sha256,
    signature::{SignatureEncoding, Signer, Verifier},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wechatpay_simulator::{Admin, Config, Running, SigningMode, Simulator, Time};

/// 2026-08-03 12:00:00 in Beijing.
pub(crate) const NOON_S: i64 = 1_785_729_600;

/// A simulator whose clock stands at noon, and its merchant's client.
pub(crate) fn at_noon() -> Merchant {
    started(Config {
        time: Time::Manual { start_s: NOON_S },
        ..Config::for_tests()
    })
}

pub(crate) fn started(config: Config) -> Merchant {
    Merchant::of(Simulator::start(config).unwrap())
}

/// The merchant's client of one simulator.
pub(crate) struct Merchant {
    pub(crate) simulator: Running,
    key: SigningKey<Sha256>,
    nonces: AtomicU64,
}

/// A request before it is signed.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: String,
    /// Added to the usual headers, or in their place; an empty value takes a header away.
    pub(crate) headers: Vec<(String, String)>,
}

impl Ask {
    pub(crate) fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            body: String::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn post(path: &str, body: &Value) -> Self {
        Self::post_text(path, &body.to_string())
    }

    pub(crate) fn post_text(path: &str, body: &str) -> Self {
        Self {
            method: Method::POST,
            body: body.to_owned(),
            ..Self::get(path)
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Whether the newest key of that mode signed exactly this.
    pub(crate) fn is_signed(&self, admin: &Admin, mode: SigningMode) -> bool {
        let (serial, pem) = admin.newest_key(mode).unwrap();
        let text = signed_text(&self.headers, &self.body);
        self.header("wechatpay-serial") == serial
            && verifies(&pem, &text, self.header("wechatpay-signature"))
    }
}

pub(crate) fn signed_text(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let header = |name: &str| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let mut text = format!(
        "{}\n{}\n",
        header("wechatpay-timestamp"),
        header("wechatpay-nonce")
    )
    .into_bytes();
    text.extend_from_slice(body);
    text.push(b'\n');
    text
}

/// Verifies with a public key's PEM, or with a certificate's.
pub(crate) fn verifies(pem: &str, text: &[u8], signature: &str) -> bool {
    let key = PublicKey::from_public_key_pem(pem).unwrap_or_else(|_| certificate_key(pem));
    BASE64
        .decode(signature)
        .ok()
        .and_then(|bytes| Signature::try_from(bytes.as_slice()).ok())
        .is_some_and(|signature| {
            VerifyingKey::<Sha256>::new(key)
                .verify(text, &signature)
                .is_ok()
        })
}

fn certificate_key(pem: &str) -> PublicKey {
    use x509_cert::der::{DecodePem, Encode};
    let certificate = x509_cert::Certificate::from_pem(pem).unwrap();
    let spki = certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .unwrap();
    PublicKey::from_public_key_der(&spki).unwrap()
}

/// A certificate's public key as SPKI PEM.
pub(crate) fn public_pem_of(certificate: &str) -> String {
    certificate_key(certificate)
        .to_public_key_pem(LineEnding::LF)
        .unwrap()
}

/// A certificate's serial in upper-case hex, and its subject.
pub(crate) fn serial_and_subject_of(certificate: &str) -> (String, String) {
    use x509_cert::der::DecodePem;
    let certificate = x509_cert::Certificate::from_pem(certificate).unwrap();
    let part = certificate.tbs_certificate();
    let serial = part.serial_number().as_bytes().iter();
    let serial = serial.map(|byte| format!("{byte:02X}")).collect();
    (serial, part.subject().to_string())
}

/// The public half as SPKI PEM.
pub(crate) fn public_pem(key: &PrivateKey) -> String {
    PublicKey::from(key)
        .to_public_key_pem(LineEnding::LF)
        .unwrap()
}

impl Merchant {
    pub(crate) fn of(simulator: Running) -> Self {
        let key = PrivateKey::from_pkcs8_pem(simulator.merchant_private_key().unwrap()).unwrap();
        Self::with_key(simulator, key)
    }

    pub(crate) fn with_key(simulator: Running, key: PrivateKey) -> Self {
        Self {
            simulator,
            key: SigningKey::new(key),
            nonces: AtomicU64::new(0),
        }
    }

    pub(crate) fn admin(&self) -> &Admin {
        self.simulator.admin()
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        BASE64.encode(self.key.sign(text.as_bytes()).to_bytes())
    }

    pub(crate) fn private_key(&self) -> &PrivateKey {
        self.key.as_ref()
    }

    /// `Authorization` for a request at that time.
    pub(crate) fn authorization(&self, ask: &Ask, timestamp: i64) -> String {
        let nonce = format!("nonce{:027}", self.nonces.fetch_add(1, Ordering::SeqCst));
        let text = format!(
            "{}\n{}\n{timestamp}\n{nonce}\n{}\n",
            ask.method, ask.path, ask.body
        );
        let details = &self.simulator.details;
        format!(
            "WECHATPAY2-SHA256-RSA2048 mchid=\"{}\",nonce_str=\"{nonce}\",signature=\"{}\",timestamp=\"{timestamp}\",serial_no=\"{}\"",
            details.mchid,
            self.sign(&text),
            details.merchant_serial,
        )
    }

    fn request(&self, ask: &Ask) -> Request<Full<Bytes>> {
        let mut headers = vec![
            ("host".to_owned(), self.simulator.addr.to_string()),
            ("user-agent".to_owned(), "simulator-test".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
            (
                "authorization".to_owned(),
                self.authorization(ask, self.admin().now_s()),
            ),
        ];
        for (name, value) in &ask.headers {
            headers.retain(|(known, _)| known != name);
            headers.push((name.clone(), value.clone()));
        }
        let mut request = Request::builder().method(ask.method.clone()).uri(&ask.path);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value);
        }
        request
            .body(Full::new(Bytes::from(ask.body.clone())))
            .unwrap()
    }

    pub(crate) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.simulator.addr).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Connection(sender)
    }

    /// Asks on a connection of its own; an error is a connection that ended without an answer.
    pub(crate) async fn try_ask(&self, ask: &Ask) -> Result<Answer, hyper::Error> {
        self.connect().await.ask(self, ask).await
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Answer {
        self.try_ask(ask).await.unwrap()
    }

    /// The body of a right order of `total_fen`, without what only some products need.
    pub(crate) fn order(&self, out_trade_no: &str, total_fen: i64) -> Value {
        let details = &self.simulator.details;
        json!({
            "appid": details.appid,
            "mchid": details.mchid,
            "description": "Tea, green",
            "out_trade_no": out_trade_no,
            "notify_url": "http://127.0.0.1:9/callbacks",
            "attach": "shop=7",
            "amount": {"total": total_fen, "currency": "CNY"},
        })
    }

    /// Creates a native order and gives its `code_url`.
    pub(crate) async fn native(&self, order: &Value) -> String {
        let answer = self
            .ask(&Ask::post("/v3/pay/transactions/native", order))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()["code_url"].as_str().unwrap().to_owned()
    }

    pub(crate) fn query(&self, out_trade_no: &str) -> Ask {
        let mchid = &self.simulator.details.mchid;
        Ask::get(&format!(
            "/v3/pay/transactions/out-trade-no/{out_trade_no}?mchid={mchid}"
        ))
    }

    pub(crate) fn close(&self, out_trade_no: &str) -> Ask {
        let path = format!("/v3/pay/transactions/out-trade-no/{out_trade_no}/close");
        Ask::post(&path, &json!({"mchid": self.simulator.details.mchid}))
    }

    pub(crate) async fn state(&self, out_trade_no: &str) -> String {
        let answer = self.ask(&self.query(out_trade_no)).await.json();
        answer["trade_state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Opens a callback as a merchant does: signature first, then the resource.
    pub(crate) fn open(&self, callback: &Received, mode: SigningMode) -> Value {
        let (serial, pem) = self.admin().newest_key(mode).unwrap();
        assert_eq!(callback.headers["wechatpay-serial"], serial.as_str());
        let signature = callback.headers["wechatpay-signature"].to_str().unwrap();
        assert!(
            verifies(
                &pem,
                &signed_text(&callback.headers, &callback.body),
                signature
            ),
            "a wrong signature"
        );
        let envelope: Value = serde_json::from_slice(&callback.body).unwrap();
        let plain = self
            .unseal(&envelope["resource"])
            .expect("a resource that opens");
        json!({ "envelope": envelope, "plain": serde_json::from_slice::<Value>(&plain).unwrap() })
    }

    /// Opens an `AEAD_AES_256_GCM` resource with the APIv3 key.
    pub(crate) fn unseal(&self, resource: &Value) -> Option<Vec<u8>> {
        let text = |name: &str| resource[name].as_str().unwrap();
        let cipher =
            Aes256Gcm::new_from_slice(self.simulator.details.apiv3_key.as_bytes()).unwrap();
        let nonce: &[u8; 12] = text("nonce").as_bytes().try_into().unwrap();
        let payload = Payload {
            msg: &BASE64.decode(text("ciphertext")).unwrap(),
            aad: text("associated_data").as_bytes(),
        };
        cipher.decrypt(nonce.into(), payload).ok()
    }
}

/// A connection that is kept.
pub(crate) struct Connection(http1::SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn ask(
        &mut self,
        merchant: &Merchant,
        ask: &Ask,
    ) -> Result<Answer, hyper::Error> {
        self.0.ready().await?;
        let answer = self.0.send_request(merchant.request(ask)).await?;
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await?.to_bytes().to_vec(),
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// A callback as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A merchant's back end that stores callbacks and gives configured answers.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    /// Statuses of the next answers; 204 when there are no more. 0 cuts the connection.
    answers: Arc<Mutex<VecDeque<u16>>>,
    /// The body of every answer.
    says: Arc<Mutex<String>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!(
                "http://{}/v1/callbacks/wechatpay",
                listener.local_addr().unwrap()
            ),
            received: Arc::default(),
            answers: Arc::default(),
            says: Arc::default(),
        };
        let mine = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mine = mine.clone();
                tokio::spawn(async move { mine.serve(stream).await });
            }
        });
        receiver
    }

    pub(crate) fn will_answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    pub(crate) fn will_say(&self, body: &str) {
        body.clone_into(&mut self.says.lock().unwrap());
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits for `count` callbacks on the system clock.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        for _ in 0..500 {
            if self.received().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.received()
    }

    /// One request by hand: what arrives is checked byte by byte.
    async fn serve(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let (head, length) = loop {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Some(head) = text.find("\r\n\r\n") {
                let head = text[..head].to_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.trim().parse::<usize>().unwrap())
                });
                break (head, length.unwrap_or(0));
            }
        };
        let start = head.len() + 4;
        while bytes.len() < start + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let mut headers = HeaderMap::new();
        for line in head.lines().skip(1) {
            let (name, value) = line.split_once(':').unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, value.trim().parse().unwrap());
        }
        self.received.lock().unwrap().push(Received {
            headers,
            body: bytes[start..start + length].to_vec(),
        });
        let status = self.answers.lock().unwrap().pop_front().unwrap_or(204);
        if status != 0 {
            let body = self.says.lock().unwrap().clone();
            let answer = format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _sent = stream.write_all(answer.as_bytes()).await;
        }
    }
}
