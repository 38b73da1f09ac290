//! AWS as one endpoint: DynamoDB is the embedded engine; the key service is a stand-in that stores
//! a secret and its context after a prefix, or the local engine's; the queue service is one that
//! stores its messages.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local::engine;
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use runtime::kms::Kms;
use serde_json::{Value, json};
use stores::keys_table::KeysTable;
use testbed::{DynamoEngine, Tables};

pub(crate) const MCHID: &str = "1900000109";

/// AWS as one endpoint.
pub(crate) struct Cloud {
    pub(crate) endpoint: String,
    pub(crate) tables: Tables,
    /// What secrets are sealed under.
    secrets_key_id: String,
    folder: PathBuf,
    services: Arc<Services>,
    _engine: DynamoEngine,
}

/// Who answers.
struct Services {
    dynamodb: String,
    /// The local engine's key service, in place of the stand-in.
    kms: Option<String>,
    sent: Mutex<Vec<Value>>,
    /// What was asked for: `dynamodb:GetItem`, say.
    calls: Mutex<BTreeSet<String>>,
    /// Whether the queue's policy denies this account to send.
    denies_sending: AtomicBool,
    /// The operation of the key service whose next answer gets lost.
    loses: Mutex<Option<&'static str>>,
}

/// The address of the local engine, which ends with the process.
fn kms_engine() -> String {
    static ENGINE: OnceLock<engine::Engine> = OnceLock::new();
    let started = ENGINE.get_or_init(|| engine::start(engine::Options::default()).unwrap());
    format!("127.0.0.1:{}", started.port())
}

impl Cloud {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_with(name, None).await
    }

    /// With the local engine's key service.
    pub(crate) async fn start_with_kms(name: &str) -> Self {
        let mut cloud = Self::start_with(name, Some(kms_engine())).await;
        let made = cloud.aws().kms().create_key().send().await.unwrap();
        cloud.secrets_key_id = made.key_metadata.unwrap().key_id;
        cloud
    }

    async fn start_with(name: &str, kms: Option<String>) -> Self {
        let engine = DynamoEngine::start();
        let tables = engine.create_tables("").await;
        let services = Arc::new(Services {
            dynamodb: engine.endpoint().trim_start_matches("http://").to_owned(),
            kms,
            sent: Mutex::default(),
            calls: Mutex::default(),
            denies_sending: AtomicBool::default(),
            loses: Mutex::default(),
        });
        let answering = Arc::clone(&services);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let services = Arc::clone(&answering);
                thread::spawn(move || answer(stream.unwrap(), &services));
            }
        });
        // Tests with the same name run side by side.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let started = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = format!("client-cloud-{name}-{started}");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            endpoint,
            tables,
            secrets_key_id: "secrets".to_owned(),
            folder,
            services,
            _engine: engine,
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        self.write_bytes(name, text.as_bytes())
    }

    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Runs the program with this account's credentials.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(&[], arguments)
    }

    /// The same, with these variables.
    fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_client"))
            .args(arguments)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env_remove("WECHATPAY_MCHID")
            .env_remove("NOTICES_TABLE")
            .env_remove("PAYMENT_RESULTS_QUEUE_URL")
            .env_remove("KEYS_TABLE")
            .env_remove("SECRETS_KEY_ID")
            .env_remove("MERCHANT_SIGNING_KEY_ID")
            .env_remove("CLIENT_SETTINGS")
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    /// Runs `setup` for the merchant.
    pub(crate) fn setup(&self, arguments: &[&str]) -> Output {
        self.run_for_the_merchant("setup", arguments)
    }

    /// Runs `keys` for the merchant.
    pub(crate) fn keys_command(&self, arguments: &[&str]) -> Output {
        self.run_for_the_merchant("keys", arguments)
    }

    fn run_for_the_merchant(&self, command: &str, arguments: &[&str]) -> Output {
        let deployment = [
            "--mchid",
            MCHID,
            "--keys-table",
            &self.tables.keys,
            "--secrets-key-id",
            &self.secrets_key_id,
        ];
        self.run(&[&[command], arguments, &deployment].concat())
    }

    /// The next answer of this operation of the key service does not arrive.
    pub(crate) fn lose_answer(&self, operation: &'static str) {
        *self.services.loses.lock().unwrap() = Some(operation);
    }

    /// Runs `setup` for the merchant, who is named by variables as the runbooks do it.
    pub(crate) fn setup_by_variables(&self, arguments: &[&str]) -> Output {
        let variables = [
            ("WECHATPAY_MCHID", MCHID),
            ("KEYS_TABLE", self.tables.keys.as_str()),
            ("SECRETS_KEY_ID", self.secrets_key_id.as_str()),
        ];
        self.run_with(&variables, &[&["setup"], arguments].concat())
    }

    /// The keys table as functions see it.
    pub(crate) fn keys(&self) -> KeysTable {
        let aws = self.aws();
        KeysTable::new(
            aws.dynamodb(),
            &self.tables.keys,
            MCHID,
            Kms::new(aws.kms()),
            &self.secrets_key_id,
            Clock::system(),
        )
    }

    /// Clients for it.
    pub(crate) fn aws(&self) -> Aws {
        Aws::new(&AwsSettings::local(&self.endpoint), &Clock::system())
    }

    /// The queue's policy denies this account to send, as it does on AWS to all but the operator's
    /// role.
    pub(crate) fn deny_sending(&self) {
        self.services.denies_sending.store(true, Ordering::SeqCst);
    }

    /// What was asked for since the last time: `dynamodb:GetItem`, say.
    pub(crate) fn take_calls(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.services.calls.lock().unwrap())
    }

    /// What the queues were sent.
    pub(crate) fn sent(&self) -> Vec<Value> {
        self.services.sent.lock().unwrap().clone()
    }
}

/// Answers KMS and SQS calls here and lets the engines answer all others.
fn answer(mut stream: TcpStream, services: &Services) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    let mut fields = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return; // the connection is closed
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; fields["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let (service, operation) = fields["x-amz-target"].split_once('.').unwrap();
    let permission = match service {
        "TrentService" => "kms",
        "AmazonSQS" => "sqs",
        dynamodb if dynamodb.starts_with("DynamoDB") => "dynamodb",
        other => panic!("nobody here is asked for {other}"),
    };
    let call = format!("{permission}:{operation}");
    services.calls.lock().unwrap().insert(call);
    let engine = match service {
        "TrentService" => services.kms.as_ref(),
        dynamodb if dynamodb.starts_with("DynamoDB") => Some(&services.dynamodb),
        _ => None,
    };
    if let Some(engine) = engine {
        let mut engine = TcpStream::connect(engine).unwrap();
        engine
            .write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
            .unwrap();
        engine.write_all(&body).unwrap();
        let mut whole = Vec::new();
        engine.read_to_end(&mut whole).unwrap();
        let mut loses = services.loses.lock().unwrap();
        if loses.take_if(|lost| *lost == operation).is_some() {
            return; // the connection breaks
        }
        return stream.write_all(&whole).unwrap();
    }
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let (status, answer) = match (service, operation) {
        ("TrentService", operation) => kms(operation, &asked),
        ("AmazonSQS", "SendMessage") if services.denies_sending.load(Ordering::SeqCst) => (
            "403 Forbidden",
            json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": "an explicit deny" }),
        ),
        ("AmazonSQS", "SendMessage") => {
            services.sent.lock().unwrap().push(asked);
            ("200 OK", json!({ "MessageId": "m-1" }))
        }
        other => panic!("nobody here is asked for {other:?}"),
    };
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    stream
        .write_all(format!("{head}{answer}").as_bytes())
        .unwrap();
}

fn kms(operation: &str, asked: &Value) -> (&'static str, Value) {
    let decode = |field: &str| STANDARD.decode(asked[field].as_str().unwrap()).unwrap();
    let prefix = format!("sealed {}:", asked["EncryptionContext"]).into_bytes();
    match operation {
        "Encrypt" => {
            let sealed = [prefix, decode("Plaintext")].concat();
            (
                "200 OK",
                json!({ "CiphertextBlob": STANDARD.encode(sealed), "KeyId": asked["KeyId"] }),
            )
        }
        "Decrypt" => match decode("CiphertextBlob").strip_prefix(prefix.as_slice()) {
            Some(plain) => (
                "200 OK",
                json!({ "Plaintext": STANDARD.encode(plain), "KeyId": asked["KeyId"] }),
            ),
            None => (
                "400 Bad Request",
                json!({ "__type": "InvalidCiphertextException" }),
            ),
        },
        other => panic!("KMS is not asked for {other}"),
    }
}

pub(crate) fn printed(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
