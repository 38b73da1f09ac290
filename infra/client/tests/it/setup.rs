//! The set-up commands, run as programs: DynamoDB is the embedded engine, the key service a stand-in that puts a secret
//! and its context behind a prefix.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use adapters::aws::{Aws, AwsSettings};
use adapters::clock::Clock;
use adapters::keys_table::{KeysTable, SignWith};
use adapters::kms::Kms;
use adapters::testing::DynamoEngine;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{Call, Client};
use message_signatures::{Algorithm, Profile, claim, verify};
use serde_json::{Value, json};
use wechatpay::sign::Signer;

use crate::server::pem;

const MCHID: &str = "1900000109";
const APIV3_KEY: &str = "0123456789abcdef0123456789abcdef";

/// AWS as one endpoint.
pub(crate) struct Cloud {
    endpoint: String,
    keys_table: String,
    folder: PathBuf,
    _engine: DynamoEngine,
}

impl Cloud {
    pub(crate) async fn start(name: &str) -> Self {
        let engine = DynamoEngine::start();
        let keys_table = engine.create_tables("").await.keys;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let dynamodb = engine.endpoint().trim_start_matches("http://").to_owned();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let dynamodb = dynamodb.clone();
                thread::spawn(move || answer(stream.unwrap(), &dynamodb));
            }
        });
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-setup-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            endpoint,
            keys_table,
            folder,
            _engine: engine,
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn setup(&self, arguments: &[&str]) -> Output {
        let deployment = [
            "--mchid",
            MCHID,
            "--keys-table",
            &self.keys_table,
            "--secrets-key-id",
            "secrets",
        ];
        Command::new(env!("CARGO_BIN_EXE_client"))
            .arg("setup")
            .args(arguments)
            .args(deployment)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .output()
            .unwrap()
    }

    /// The table as functions see it.
    pub(crate) fn keys(&self) -> KeysTable {
        let clock = Clock::system();
        let aws = Aws::new(&AwsSettings::local(&self.endpoint), &clock);
        KeysTable::new(
            aws.dynamodb(),
            &self.keys_table,
            MCHID,
            Kms::new(aws.kms()),
            "secrets",
            clock,
        )
    }
}

/// Answers KMS calls here and lets the engine answer all others.
fn answer(mut stream: TcpStream, dynamodb: &str) {
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
    let Some(operation) = fields["x-amz-target"].strip_prefix("TrentService.") else {
        let mut engine = TcpStream::connect(dynamodb).unwrap();
        engine
            .write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
            .unwrap();
        engine.write_all(&body).unwrap();
        let mut whole = Vec::new();
        engine.read_to_end(&mut whole).unwrap();
        return stream.write_all(&whole).unwrap();
    };
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let (status, answer) = kms(operation, &asked);
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

pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn a_client_that_was_set_up_signs_what_the_functions_accept_until_it_is_revoked() {
    let cloud = Cloud::start("hmac").await;
    let settings = cloud.path("shop.json");
    let register = [
        "client",
        "--keyid",
        "shop-1",
        "--client-id",
        "shop",
        "--api-url",
        "https://api.example.com",
        "--settings",
        &settings,
    ];
    let output = cloud.setup(&register);
    assert!(output.status.success(), "{}", told(&output));

    let call = Call::get_order("tea-0001");
    let signed = Client::load(Path::new(&settings))
        .unwrap()
        .sign(&call, Clock::system().now(), "n")
        .unwrap();
    let key = cloud.keys().client_key("shop-1").await.unwrap().unwrap();
    assert_eq!(
        (key.client_id.as_str(), key.key.algorithm()),
        ("shop", Algorithm::HmacSha256)
    );
    let headers: Vec<(&str, &[u8])> = signed
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let request = message_signatures::Request {
        method: "GET",
        authority: "api.example.com",
        path: "/v1/orders/tea-0001",
        query: None,
        headers: &headers,
        body: b"",
    };
    let profile = Profile::MERCHANT_API;
    let claim = claim(&request, &profile).unwrap();
    assert_eq!(
        verify(
            &request,
            &claim,
            &key.key,
            Clock::system().now().0,
            &profile
        ),
        Ok(())
    );

    let secret = std::fs::read_to_string(&settings).unwrap();
    let again = cloud.setup(&register);
    assert!(
        !again.status.success() && told(&again).contains("move it away"),
        "{}",
        told(&again)
    );
    assert_eq!(
        std::fs::read_to_string(&settings).unwrap(),
        secret,
        "the secret in use is not lost"
    );

    assert!(
        cloud
            .setup(&["revoke", "--keyid", "shop-1"])
            .status
            .success()
    );
    assert!(cloud.keys().client_key("shop-1").await.unwrap().is_none());
    assert!(
        !cloud
            .setup(&["revoke", "--keyid", "nobody"])
            .status
            .success()
    );
}

#[tokio::test]
async fn a_public_key_is_registered_only_for_its_own_algorithm() {
    let cloud = Cloud::start("public").await;
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";
    let file = cloud.write("key.pem", pem);
    let register = |algorithm: &str| {
        let options = [
            "--keyid",
            "app-1",
            "--client-id",
            "app",
            "--algorithm",
            algorithm,
            "--public-key-file",
            &file,
        ];
        cloud.setup(&[&["client"], &options[..]].concat())
    };
    let wrong = register("rsa-v1_5-sha256");
    assert!(
        !wrong.status.success() && told(&wrong).contains("cannot be used for rsa-v1_5-sha256"),
        "{}",
        told(&wrong)
    );
    assert_eq!(register("rsa").status.code(), Some(2));
    assert!(cloud.keys().client_key("app-1").await.unwrap().is_none());
    assert!(register("ed25519").status.success());
    let key = cloud.keys().client_key("app-1").await.unwrap().unwrap();
    assert_eq!(key.key.algorithm(), Algorithm::Ed25519);
}

#[tokio::test]
async fn a_merchant_that_was_set_up_can_sign_and_open_what_wechat_pay_sends() {
    let cloud = Cloud::start("merchant").await;
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = pem(
        "PRIVATE KEY",
        AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref(),
    );
    let public = pem(
        "PUBLIC KEY",
        AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
            .unwrap()
            .as_ref(),
    );
    let (merchant_key, platform_key) = (
        cloud.write("apiclient_key.pem", &private),
        cloud.write("pub_key.pem", &public),
    );
    let (apiv3, previous) = (
        cloud.write("apiv3", &format!("{APIV3_KEY}\n")),
        cloud.write("old", &"o".repeat(32)),
    );
    let platform = format!("PUB_KEY_ID_01={platform_key}");
    let merchant = [
        "merchant",
        "--merchant-serial",
        "5157F09EFDC096DE15EBE81A47057A72",
        "--apiv3-key-file",
        &apiv3,
    ];
    let keys = [
        "--merchant-key-file",
        &merchant_key,
        "--wechatpay-public-key",
        &platform,
    ];
    let rotation = [
        "--apiv3-key-version",
        "2",
        "--previous-apiv3-key-file",
        &previous,
    ];

    for (arguments, reason) in [
        (merchant.to_vec(), "no key of WeChat Pay's"),
        (
            [&merchant[..], &keys, &rotation[2..]].concat(),
            "counts from 1",
        ),
        (
            [&merchant[..], &["--platform-certificate", &platform_key]].concat(),
            "is not a certificate",
        ),
        (
            [
                &merchant[..],
                &["--merchant-key-file", &platform_key],
                &keys[2..],
            ]
            .concat(),
            "openssl pkcs8",
        ),
        (
            [&merchant[..3], &["--apiv3-key-file", &platform_key], &keys].concat(),
            "an APIv3 key",
        ),
    ] {
        let output = cloud.setup(&arguments);
        assert!(
            !output.status.success() && told(&output).contains(reason),
            "{reason}: {}",
            told(&output)
        );
    }
    let output = cloud.setup(&[&merchant[..], &keys, &rotation].concat());
    assert!(output.status.success(), "{}", told(&output));

    let read = cloud.keys().merchant().await.unwrap();
    assert_eq!(read.response_serial, "PUB_KEY_ID_01");
    assert_eq!(read.signer_serial, "5157F09EFDC096DE15EBE81A47057A72");
    assert_eq!(read.apiv3().await.unwrap().len(), 2);
    let signer = read.signer(&SignWith::Sealed).await.unwrap();
    assert_eq!(signer.sign(b"text").await.unwrap().len(), 256);
}
