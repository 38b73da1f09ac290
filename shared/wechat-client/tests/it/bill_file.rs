//! Loading bills: what is sent where, and what becomes of a file that does not come whole.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, write::GzEncoder};
use runtime::call_keys::{CallKeys, KeySource, KeysFuture, KeysUnavailable};
use runtime::clock::Clock;
use runtime::random::Random;
use runtime::signer::{MerchantSigner, SignWith};
use sha1::{Digest, Sha1};
use testbed::{NOW, RsaKey, chain};
use wechat_client::api::WechatSettings;
use wechat_client::api::{HostChoice, Hosts, Limits, NotSent, WechatApi};
use wechat_client::bill_file::{BillBytes, BillFileError, Unzip, UnzipError};
use wechatpay::api::BillLink;
use wechatpay::resource::ApiV3Key;
use wechatpay::{FieldKey, LocalKey, Signer, VerificationKeys};

const MCHID: &str = "1900000001";
const SERIAL: &str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
const RESPONSE_SERIAL: &str = "PUB_KEY_ID_1";
const PUBLIC_KEY: &str = include_str!("../../../wechatpay/vectors/keys/platform-public.pem");
const PATH: &str = "/v3/billdownload/file?token=6XIv5TUPto7pByrTQKhd6kwvyKLG2uY2&tartype=gzip";
const LONG: Duration = Duration::from_secs(20);

/// A host of WeChat Pay that answers every request with these bytes and closes.
struct Host {
    port: u16,
    requests: mpsc::Receiver<String>,
}

impl Host {
    fn start(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                if sender.send(read_request(&mut stream)).is_err() {
                    return; // the test is over
                }
                // A client that has read enough may be gone.
                drop(stream.write_all(&answer));
            }
        });
        Self { port, requests }
    }

    fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn link(&self) -> BillLink {
        link(&format!("{}{PATH}", self.base()))
    }

    fn received(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut chunk).expect("a request") {
            0 => break,
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
    String::from_utf8(request).expect("text")
}

fn link(download_url: &str) -> BillLink {
    BillLink {
        hash_type: "SHA1".to_owned(),
        hash_value: sha1(&text()),
        download_url: download_url.to_owned(),
    }
}

/// An answer with this body, of which `sent` bytes come before the connection closes.
fn answer(status: &str, body: &[u8], sent: usize) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), &body[..sent]].concat()
}

fn whole(body: &[u8]) -> Vec<u8> {
    answer("200 OK", body, body.len())
}

fn text() -> Vec<u8> {
    let mut text = Vec::new();
    for row in 0..5_000_u32 {
        let noise = row.wrapping_mul(2_654_435_761);
        writeln!(text, "`2026-08-01 12:00:00,`42000{noise},`SUCCESS").expect("in memory");
    }
    text
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("in memory");
    encoder.finish().expect("in memory")
}

fn sha1(text: &[u8]) -> String {
    let hash = Sha1::digest(text);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The keys of a merchant who has their key at hand; `None`: its keys cannot be read.
#[derive(Debug)]
struct KeysAtHand(Option<Arc<MerchantKeys>>);

#[derive(Debug)]
struct MerchantKeys {
    verification: VerificationKeys,
    signer: Arc<LocalKey>,
}

impl KeySource for KeysAtHand {
    fn current(&self) -> KeysFuture<'_, Arc<dyn CallKeys>> {
        let keys = self.0.clone();
        Box::pin(async move {
            let keys: Arc<dyn CallKeys> =
                keys.ok_or_else(|| KeysUnavailable::new("no keys here", true))?;
            Ok(keys)
        })
    }

    fn refreshed<'a>(&'a self, _serial: &'a str) -> KeysFuture<'a, Arc<dyn CallKeys>> {
        self.current()
    }
}

impl CallKeys for MerchantKeys {
    fn verification(&self) -> &VerificationKeys {
        &self.verification
    }

    fn response_serial(&self) -> &str {
        RESPONSE_SERIAL
    }

    fn field_key(&self) -> Result<FieldKey, KeysUnavailable> {
        FieldKey::from_public_key(RESPONSE_SERIAL, PUBLIC_KEY)
            .map_err(|error| KeysUnavailable::new(error, false))
    }

    fn apiv3(&self) -> KeysFuture<'_, &[ApiV3Key]> {
        Box::pin(async {
            let none: &[ApiV3Key] = &[];
            Ok(none)
        })
    }

    fn signer<'a>(&'a self, _with: &'a SignWith) -> KeysFuture<'a, MerchantSigner> {
        let signer = Arc::clone(&self.signer);
        Box::pin(async { Ok(MerchantSigner::Sealed(signer)) })
    }
}

/// WeChat Pay's API for a merchant whose key is at hand.
struct Bench {
    api: WechatApi,
    private: Vec<u8>,
}

impl Bench {
    fn new(main: &str, backup: &str) -> Self {
        let private = RsaKey::generate().pkcs8();
        let mut verification = VerificationKeys::new();
        verification
            .add_public_key(RESPONSE_SERIAL, PUBLIC_KEY)
            .expect("a key");
        let signer = LocalKey::from_pkcs8_der(SERIAL, &private).expect("a key");
        let keys = KeysAtHand(Some(Arc::new(MerchantKeys {
            verification,
            signer: Arc::new(signer),
        })));
        Self {
            api: client(main, backup, keys),
            private,
        }
    }

    fn at(host: &Host) -> Self {
        Self::new(&host.base(), "http://127.0.0.1:9")
    }

    async fn open(&self, link: &BillLink) -> Result<BillBytes, BillFileError> {
        self.api.open_bill(link, LONG).await
    }
}

fn client(main: &str, backup: &str, keys: KeysAtHand) -> WechatApi {
    let settings = WechatSettings {
        hosts: Hosts {
            main: main.to_owned(),
            backup: backup.to_owned(),
        },
        host_choice: HostChoice::ByHealth,
        sign_with: SignWith::Sealed,
        limits: Limits {
            calls_per_s: 100,
            refunds_per_s: 100,
            signatures_per_s: 100,
        },
    };
    let clock = Clock::manual(NOW);
    WechatApi::new(settings, MCHID, keys, clock, Random::seeded(1))
}

/// A reader of a bill fails by itself or because of its file.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    File(#[from] BillFileError),
    #[error(transparent)]
    Unzip(#[from] UnzipError),
}

/// Reads a bill to its end: its text and its hash.
async fn read(mut source: BillBytes) -> Result<(Vec<u8>, String), Unread> {
    let (mut unzip, mut text) = (Unzip::new(), Vec::new());
    while let Some(chunk) = source.chunk().await? {
        unzip.feed(&chunk, &mut |bytes: &[u8]| {
            text.extend_from_slice(bytes);
            Ok::<(), UnzipError>(())
        })?;
    }
    Ok((text, unzip.finish()?.as_str().to_owned()))
}

/// The value of `name="..."` in an `Authorization`.
fn part<'a>(authorization: &'a str, name: &str) -> &'a str {
    let (_, rest) = authorization
        .split_once(&format!("{name}=\""))
        .expect("the part");
    rest.split_once('"').expect("its end").0
}

#[tokio::test]
async fn a_bill_is_asked_for_by_a_signature_over_the_path_as_wechat_pay_gave_it() {
    let host = Host::start(whole(&gzip(&text())));
    let bench = Bench::at(&host);
    let source = bench.open(&host.link()).await.expect("a file");
    let (found, hash) = read(source).await.expect("whole");
    assert!(found == text());
    assert_eq!(hash, host.link().hash_value);

    let received = host.received();
    let [request] = received.as_slice() else {
        panic!("one request, not {received:?}")
    };
    assert!(
        request.starts_with(&format!("GET {PATH} HTTP/1.1\r\n")),
        "{request}"
    );
    let authorization = request
        .lines()
        .find_map(|line| line.strip_prefix("authorization: "))
        .expect("a signature");
    let signed = format!(
        "GET\n{PATH}\n{}\n{}\n\n",
        part(authorization, "timestamp"),
        part(authorization, "nonce_str")
    );
    let key = LocalKey::from_pkcs8_der(SERIAL, &bench.private).expect("a key");
    let signature = key.sign(signed.as_bytes()).await.expect("signed");
    assert_eq!(part(authorization, "signature"), STANDARD.encode(signature));
    assert_eq!(part(authorization, "mchid"), MCHID);
    assert_eq!(part(authorization, "serial_no"), SERIAL);
}

#[tokio::test]
async fn a_link_to_the_backup_host_goes_there() {
    let (main, backup) = (Host::start(whole(b"")), Host::start(whole(&text())));
    let bench = Bench::new(&main.base(), &backup.base());
    let source = bench.open(&backup.link()).await.expect("a file");
    assert!(read(source).await.expect("whole").0 == text());
    assert_eq!((main.received().len(), backup.received().len()), (0, 1));
}

#[tokio::test]
async fn nothing_is_sent_to_a_host_that_is_not_in_the_settings() {
    let (ours, foreign) = (Host::start(whole(b"")), Host::start(whole(b"")));
    let bench = Bench::at(&ours);
    for url in [
        format!("{}{PATH}", foreign.base()),
        format!("{}.example.com{PATH}", ours.base()),
        format!("https://127.0.0.1:{}{PATH}", ours.port),
        format!("http://li@127.0.0.1:{}{PATH}", ours.port),
    ] {
        let error = bench.open(&link(&url)).await.expect_err("foreign");
        let BillFileError::ForeignHost { origin } = &error else {
            panic!("{url}: {error:?}")
        };
        assert!(url.starts_with(origin.as_str()) && error.to_string().contains(origin));
        assert!(!error.to_string().contains("token"), "{error}");
        assert!(!error.is_transient());
    }
    let error = bench.open(&link("/v3/bill")).await.expect_err("no link");
    assert!(matches!(error, BillFileError::Link(_)), "{error:?}");
    assert_eq!((ours.received().len(), foreign.received().len()), (0, 0));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let foreign = Host::start(whole(b"stolen"));
    let head = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}/x\r\ncontent-length: 0\r\n\r\n",
        foreign.base()
    );
    let host = Host::start(head.into_bytes());
    let bench = Bench::at(&host);
    let error = bench.open(&host.link()).await.expect_err("no file");
    let BillFileError::Refused(refusal) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(refusal.status, 302);
    assert_eq!(foreign.received(), Vec::<String>::new());
}

#[tokio::test]
async fn what_wechat_pay_says_instead_of_a_file_is_in_the_error() {
    let body = r#"{"code":"NO_AUTH","message":"another merchant's"}"#;
    let host = Host::start(answer("403 Forbidden", body.as_bytes(), body.len()));
    let bench = Bench::at(&host);
    let error = bench.open(&host.link()).await.expect_err("no file");
    let BillFileError::Refused(refusal) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (refusal.status, refusal.raw_code.as_str()),
        (403, "NO_AUTH")
    );
    assert!(!chain(&error).contains("token="), "{}", chain(&error));
}

#[tokio::test]
async fn a_file_whose_connection_breaks_is_no_file() {
    let file = gzip(&text());
    let host = Host::start(answer("200 OK", &file, file.len() / 2));
    let bench = Bench::at(&host);
    let source = bench.open(&host.link()).await.expect("it begins");
    let error = read(source).await.expect_err("half a file");
    let Unread::File(error @ BillFileError::BrokeOff(_)) = &error else {
        panic!("{error:?}")
    };
    assert!(error.is_transient());
    assert!(!chain(error).contains("token="), "{}", chain(error));
}

#[tokio::test]
async fn a_file_that_is_cut_or_altered_on_the_way_is_refused() {
    let file = gzip(&text());
    let cut = &file[..file.len() - 9];
    let host = Host::start(whole(cut));
    let bench = Bench::at(&host);
    let source = bench.open(&host.link()).await.expect("it begins");
    let error = read(source).await.expect_err("cut");
    assert!(
        matches!(error, Unread::Unzip(UnzipError::CutShort)),
        "{error:?}"
    );

    let mut altered = file.clone();
    altered[file.len() / 2] ^= 1;
    let host = Host::start(whole(&altered));
    let bench = Bench::at(&host);
    let source = bench.open(&host.link()).await.expect("it begins");
    let error = read(source).await.expect_err("altered");
    assert!(
        matches!(error, Unread::Unzip(UnzipError::Damaged)),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_altered_plain_bill_has_another_hash() {
    let mut altered = text();
    altered[1000] ^= 1;
    let host = Host::start(whole(&altered));
    let bench = Bench::at(&host);
    let source = bench.open(&host.link()).await.expect("it begins");
    let (_, hash) = read(source).await.expect("a file");
    assert_ne!(hash, host.link().hash_value);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_an_error_that_passes() {
    let bench = Bench::new("http://127.0.0.1:9", "http://127.0.0.1:10");
    let error = bench
        .open(&link(&format!("http://127.0.0.1:9{PATH}")))
        .await;
    let error = error.expect_err("nobody there");
    assert!(error.is_transient(), "{error:?}");
    assert!(!chain(&error).contains("token="), "{}", chain(&error));
}

#[tokio::test]
async fn without_keys_nothing_leaves() {
    let host = Host::start(whole(b""));
    let api = client(&host.base(), &host.base(), KeysAtHand(None));
    let error = api.open_bill(&host.link(), LONG).await;
    let error = error.expect_err("no keys");
    assert!(
        matches!(error, BillFileError::NotSent(NotSent::Keys(_))),
        "{error:?}"
    );
    assert_eq!(host.received(), Vec::<String>::new());
}
