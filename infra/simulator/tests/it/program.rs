//! The program: its files, its restart, its admin calls over HTTP.

mod admin;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rsa::{PrivateKey, pkcs8::DecodePrivateKey};
use serde_json::{Value, json};
use wechatpay_simulator::{
    ClientDetails, Config, ConsoleRefund, GivenMerchant, Keys, Merchant as Whose, PayOptions,
    RefundOutcome, RefundStatus, Settings, Simulator, StartError, Time, TradeState,
};

use crate::{
    state::as_if_killed,
    support::{Ask, Merchant, public_pem, public_pem_of, serial_and_subject_of, started},
};

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A folder that goes when the test does.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::SeqCst);
        let path =
            std::env::temp_dir().join(format!("simulator-files-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// The compiled program, ended with the test.
struct Program {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Program {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_wechatpay-simulator"))
            .args(arguments)
            .current_dir(&folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn until(&mut self, part: &str) -> String {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("the program never printed {part:?} but {seen:#?}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

fn details(path: &Path) -> ClientDetails {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_program_writes_what_a_client_needs_and_prints_each_request() {
    let folder = Folder::new();
    let mut program = Program::start(&folder, &["--port", "0", "--seed", "9", "--speed", "50"]);
    let greeting = program.until("listens on");
    assert!(greeting.contains("seed 9"), "{greeting}");
    let details = details(&folder.file("wechatpay-simulator.json"));
    assert!(greeting.contains(&details.base_url), "{greeting}");
    let key_file = details.merchant_private_key_file.clone().unwrap();
    assert!(
        fs::read_to_string(&key_file)
            .unwrap()
            .starts_with("-----BEGIN PRIVATE KEY-----")
    );
    #[cfg(unix)]
    assert_eq!(
        [
            mode(&key_file),
            mode(&folder.file("wechatpay-simulator.json"))
        ],
        [0o600; 2]
    );
    let certificate_file = details.merchant_certificate_file.clone().unwrap();
    assert_eq!(certificate_file.parent(), key_file.parent());
    assert!(
        certificate_file
            .to_str()
            .unwrap()
            .ends_with("apiclient_cert.pem"),
        "{certificate_file:?}"
    );
    let certificate = fs::read_to_string(&certificate_file).unwrap();
    let key = PrivateKey::from_pkcs8_pem(&fs::read_to_string(&key_file).unwrap()).unwrap();
    assert_eq!(public_pem_of(&certificate), public_pem(&key));
    let (serial, subject) = serial_and_subject_of(&certificate);
    assert_eq!(serial, details.merchant_serial);
    assert!(
        subject.contains(&format!("CN={}", details.mchid)),
        "{subject}"
    );
    assert!(details.wechatpay_public_key_id.starts_with("PUB_KEY_ID_0"));
    assert_eq!(
        (
            details.platform_certificate_serial.len(),
            details.apiv3_key.len()
        ),
        (40, 32)
    );
    assert!(details.mchid.len() == 10 && details.appids.contains(&details.appid));

    let answer = get(&details.base_url, "/admin/orders").await;
    assert_eq!(answer, json!([]));
    get(&details.base_url, "/v3/certificates").await;
    let line = program.until("/v3/certificates");
    assert_eq!(
        line,
        "GET /v3/certificates -> 400 PARAM_ERROR: The header Accept or User-Agent is missing"
    );
}

/// An unsigned GET without any header of note.
async fn get(base_url: &str, path: &str) -> Value {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = base_url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_program_says_what_to_do_about_a_mistake() {
    let folder = Folder::new();
    fs::write(folder.file("damaged.json"), "{").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, advice) in [
        (&["--port", &port][..], "Choose another port with --port"),
        (
            &["--state", "damaged.json", "--port", "0"],
            "delete it to start afresh",
        ),
        (&["--merchant", "nowhere.json"], "README.md"),
        (
            &[
                "--out",
                "no/such/folder/file.json",
                "--port",
                "0",
                "--state",
                "none",
            ],
            "--out",
        ),
    ] {
        let mut program = Program::start(&folder, arguments);
        let line = program.until(advice);
        assert!(!program.process.wait().unwrap().success(), "{line}");
    }
}

#[tokio::test]
async fn orders_keys_and_merchant_survive_a_restart() {
    let folder = Folder::new();
    let config = || Config {
        state_file: Some(folder.file("state.json")),
        ..Config::for_tests()
    };
    let first = started(config());
    let mut known = first.simulator.details.clone();
    first.native(&first.order("ORDER-1001", 100)).await;
    first.native(&first.order("ORDER-1002", 100)).await;
    first
        .admin()
        .pay("ORDER-1001", &PayOptions::default())
        .unwrap();
    let paid_twice = first
        .admin()
        .pay_again("ORDER-1001", &PayOptions::default())
        .unwrap();
    first.admin().set_refund_outcome(RefundOutcome::Hold);
    let requested = ConsoleRefund {
        order: "ORDER-1001".to_owned(),
        refund_fen: 30,
        ..ConsoleRefund::default()
    };
    let refund = first.admin().console_refund(&requested).unwrap();
    let settings = Settings {
        refund_quotas: true,
        ..Settings::default()
    };
    first.admin().set_settings(settings.clone()).unwrap();
    let code_url = first.admin().order("ORDER-1002").unwrap().live_value;
    let code_url = code_url.unwrap();
    first.simulator.stop();
    #[cfg(unix)]
    assert_eq!(
        mode(&folder.file("state.json")),
        0o600,
        "it holds private keys"
    );

    let second = started(config());
    known.base_url = second.simulator.base_url.clone();
    known.admin_url = format!("{}/admin", known.base_url);
    known.phone_url = format!("{}/phone", known.base_url);
    assert_eq!(second.simulator.details, known);
    assert_eq!(second.state("ORDER-1001").await, "REFUND");
    let view = second.admin().order("ORDER-1001").unwrap();
    assert_eq!(view.payments[1], paid_twice.payments[1]);
    assert_eq!(view.refund_committed_fen, 30);
    assert_eq!(second.admin().settings(), settings);
    second
        .admin()
        .settle_refund(&refund.out_refund_no, RefundStatus::Success)
        .unwrap();
    assert!(
        second
            .admin()
            .pay(&code_url, &PayOptions::default())
            .is_ok()
    );
    assert_ne!(
        second.native(&second.order("ORDER-1003", 100)).await,
        code_url,
        "the seed does not repeat itself"
    );
}

#[tokio::test]
async fn a_refund_that_ends_by_itself_is_written_without_a_request() {
    let folder = Folder::new();
    let running = started(Config {
        state_file: Some(folder.file("state.json")),
        // Long after the payment was written down.
        refund_takes_ms: 1_000,
        ..Config::for_tests()
    });
    running.native(&running.order("ORDER-1001", 100)).await;
    running
        .admin()
        .pay("ORDER-1001", &PayOptions::default())
        .unwrap();
    let requested = ConsoleRefund {
        order: "ORDER-1001".to_owned(),
        refund_fen: 30,
        ..ConsoleRefund::default()
    };
    let refund = running.admin().console_refund(&requested).unwrap();
    let number = refund.out_refund_no;

    let begin = Instant::now();
    let written = loop {
        // One with a stopped clock, where nothing ends by itself.
        let (_copy, left) = as_if_killed(&folder, Time::now_s());
        let status = left.admin().refund(&number).map(|refund| refund.status);
        // The payment's callback is tried again after 15 s, and what that changes is written
        // anyhow.
        if status == Some(RefundStatus::Success) || begin.elapsed() > Duration::from_secs(10) {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(written, Some(RefundStatus::Success));
}

#[tokio::test]
async fn a_given_merchant_signs_with_its_own_key() {
    let generated = started(Config::for_tests());
    let given = |apiv3_key: &str| Config {
        merchant: Whose::Given(GivenMerchant {
            mchid: "1900009191".to_owned(),
            appids: vec!["wxd678efh567hg6787".to_owned()],
            merchant_serial: "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB".to_owned(),
            merchant_public_key: crate::support::public_pem(generated.private_key()),
            merchant_private_key_file: Some(PathBuf::from("/keys/apiclient_key.pem")),
            apiv3_key: apiv3_key.to_owned(),
        }),
        keys: Keys::Published,
        ..Config::for_tests()
    };
    let running = Simulator::start(given("0123456789abcdefghijklmnopqrstuv")).unwrap();
    assert_eq!(running.merchant_private_key(), None);
    assert_eq!(
        running.details.merchant_private_key_file.as_deref(),
        Some(Path::new("/keys/apiclient_key.pem"))
    );
    let merchant = Merchant::with_key(running, generated.private_key().clone());
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    let short = Simulator::start(given("short"));
    assert!(
        matches!(short.err(), Some(StartError::Merchant(problem)) if problem.contains("32 characters"))
    );
}
