//! Calls, sent and pasted.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{Call, Client, NewOrder, SendError, Sender, Settings};
use message_signatures::{Algorithm, VerifyingKey};
use runtime::clock::Clock;

use crate::server::{self, pem};

const SECRET: [u8; 32] = [9; 32];

fn key() -> VerifyingKey {
    VerifyingKey::from_secret(&SECRET).unwrap()
}

fn settings(api_url: String) -> Settings {
    Settings {
        api_url,
        keyid: "shop-1".to_owned(),
        algorithm: "hmac-sha256".to_owned(),
        secret_base64: Some(STANDARD.encode(SECRET)),
        private_key_file: None,
    }
}

fn client() -> Client {
    let address = server::start(key());
    Client::new(&settings(format!("http://{address}")), Path::new("")).unwrap()
}

fn order() -> Call {
    let order = NewOrder {
        product: "native".to_owned(),
        amount_fen: 100,
        description: "Granny's `tea` $1 [x] \\ \"y\" 茶".to_owned(),
        ..NewOrder::default()
    };
    Call::create_order(&order)
        .unwrap()
        .idempotency_key("cart-7731")
        .respond_async()
}

/// A folder of this test's own under `target/`, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn a_sent_call_arrives_as_it_was_signed() {
    let (client, sender) = (client(), Sender::new().unwrap());
    for call in [
        order(),
        Call::get_order("tea-0001"),
        Call::close_order("tea-0001"),
        Call::release_refund("tea-0001", "r1", "李娜", "Paid \"in cash\""),
        Call::new("GET", "/v1/a%20b?x=%2F&y", ""),
    ] {
        let signed = client.sign(&call, Clock::system().now(), "n1").unwrap();
        let answer = sender.send(&signed).await.unwrap();
        assert!(answer.is_success(), "{call:?}: {}", answer.body);
        assert_eq!(answer.header("location"), Some("/there"));
    }
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_silence_is_an_error() {
    let (client, sender) = (client(), Sender::new().unwrap());
    let mut signed = client.sign(&order(), Clock::system().now(), "n1").unwrap();
    signed.body.push(' ');
    let answer = sender.send(&signed).await.unwrap();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, r#"{"code":"digest_mismatch"}"#)
    );
    assert!(!answer.is_success());

    let offline = Client::new(&settings("http://127.0.0.1:1".to_owned()), Path::new("")).unwrap();
    let signed = offline.sign(&order(), Clock::system().now(), "n1").unwrap();
    assert!(matches!(
        sender.send(&signed).await,
        Err(SendError::NoAnswer { .. })
    ));
}

#[test]
fn a_pasted_curl_command_is_accepted() {
    if Command::new("curl").arg("--version").output().is_err() {
        // Not by `eprintln!`: the test harness would keep that for itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_pasted_curl_command_is_accepted: this machine has no curl"
        );
        return;
    }
    let client = client();
    for call in [order(), Call::new("GET", "/v1/./a[1]{b}?x={1,2}", "")] {
        let command = client
            .sign(&call, Clock::system().now(), "n1")
            .unwrap()
            .curl();
        let output = Command::new("sh").arg("-c").arg(&command).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{command}\n{answer}");
    }
}

#[test]
fn the_program_signs_with_a_private_key_file_beside_its_settings() {
    let folder = folder("ed25519");
    let pair = Ed25519KeyPair::generate().unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let key =
        VerifyingKey::from_public_key_pem(Algorithm::Ed25519, &pem("PUBLIC KEY", public.as_ref()))
            .unwrap();
    std::fs::write(folder.join("key.pem"), pem("PRIVATE KEY", private.as_ref())).unwrap();
    let settings = Settings {
        algorithm: "ed25519".to_owned(),
        secret_base64: None,
        private_key_file: Some("key.pem".into()),
        ..settings(format!("http://{}", server::start(key)))
    };
    let file = folder.join("client.json");
    std::fs::write(&file, serde_json::to_string(&settings).unwrap()).unwrap();

    let output = run(
        &file,
        &[
            "create",
            "--product",
            "native",
            "--amount-fen",
            "100",
            "--description",
            "Tea",
            "--async",
        ],
    );
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{says}");
    assert!(
        says.contains("Idempotency-Key: ")
            && says.contains("HTTP 201")
            && says.contains("location: /there"),
        "{says}"
    );
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        answer["body"],
        r#"{"product":"native","amount_fen":100,"description":"Tea"}"#
    );

    assert!(run(&file, &["get", "tea-0001"]).status.success());
    let shown = run(
        &file,
        &[
            "sign",
            "post",
            "/v1/orders",
            "--body",
            "{}",
            "--prefer",
            "respond-async",
        ],
    );
    let command = String::from_utf8(shown.stdout).unwrap();
    assert!(
        command.starts_with("curl ") && command.contains(r#""@query" "prefer" "content-digest""#),
        "{command}"
    );
}

#[test]
fn each_command_makes_its_call_of_the_api() {
    let folder = folder("commands");
    let file = folder.join("client.json");
    let settings = settings(format!("http://{}", server::start(key())));
    std::fs::write(&file, serde_json::to_string(&settings).unwrap()).unwrap();
    let card = folder.join("card.json");
    let text =
        r#"{"bank_type":"ICBC_DEBIT","bank_account":"6222020000000000000","real_name":"张三"}"#;
    std::fs::write(&card, text).unwrap();
    let card = card.to_str().unwrap();

    let order = "/v1/orders/tea-0001";
    for (line, call, body) in [
        ("close tea-0001", format!("POST {order}/close"), ""),
        (
            "refund tea-0001 --amount-fen 40 --refund-no r1 --reason cold --transaction-id 4200",
            format!("POST {order}/refunds"),
            r#"{"amount_fen":40,"refund_no":"r1","reason":"cold","transaction_id":"4200"}"#,
        ),
        ("refunds tea-0001", format!("GET {order}/refunds"), ""),
        (
            "refund-status tea-0001 r1",
            format!("GET {order}/refunds/r1"),
            "",
        ),
        (
            "refund-retry tea-0001 r1",
            format!("POST {order}/refunds/r1/retry"),
            "",
        ),
        (
            "refund-release tea-0001 r1 --who li --why cash",
            format!("POST {order}/refunds/r1/release"),
            r#"{"who":"li","why":"cash"}"#,
        ),
        (
            "refund-abnormal tea-0001 r1 --to merchant --who li --why gone",
            format!("POST {order}/refunds/r1/abnormal"),
            r#"{"to":"merchant","who":"li","why":"gone"}"#,
        ),
        (
            &format!(
                "refund-abnormal tea-0001 r1 --to user --card-file {card} --who li --why gone"
            ),
            format!("POST {order}/refunds/r1/abnormal"),
            &text.replacen('{', r#"{"to":"user","#, 1).replacen(
                '}',
                r#","who":"li","why":"gone"}"#,
                1,
            ),
        ),
        (
            "refund-payer-paid tea-0001 r1 --who li --why bank",
            format!("POST {order}/refunds/r1/payer-paid"),
            r#"{"who":"li","why":"bank"}"#,
        ),
        ("events tea-0001", format!("GET {order}/events"), ""),
        ("webhook", "GET /v1/webhook".to_owned(), ""),
        (
            "replay tea-0001 3",
            format!("POST {order}/events/3/replay"),
            "",
        ),
    ] {
        let output = run(&file, &line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{line}: {output:?}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (answer["call"].as_str(), answer["body"].as_str()),
            (Some(call.as_str()), Some(body)),
            "{line}"
        );
        assert!(answer["idempotency_key"].is_null(), "{line}");
    }
}

#[test]
fn a_refund_without_a_number_has_a_key_by_which_it_can_be_repeated() {
    let file = folder("refund-key").join("client.json");
    let settings = settings(format!("http://{}", server::start(key())));
    std::fs::write(&file, serde_json::to_string(&settings).unwrap()).unwrap();
    let refund = ["refund", "tea-0001", "--amount-fen", "40"];
    let keys_of = |arguments: &[&str]| {
        let output = run(&file, arguments);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["body"], r#"{"amount_fen":40}"#);
        let key = answer["idempotency_key"].as_str().unwrap().to_owned();
        (key, String::from_utf8(output.stderr).unwrap())
    };
    let (key, says) = keys_of(&refund);
    let repeat = format!("repeat with --idempotency-key {key})");
    assert!(says.contains(&repeat), "{says}");
    let (again, says) = keys_of(&[&refund[..], &["--idempotency-key", &key]].concat());
    assert_eq!(again, key);
    assert!(!says.contains("repeat with"), "{says}");
}

#[test]
fn the_program_says_what_to_do_instead_of_doing_half() {
    let folder = folder("usage");
    let file = folder.join("client.json");
    let card = folder.join("card.json");
    std::fs::write(&card, r#"{"bank_type":"ICBC_DEBIT","bank_account":6222}"#).unwrap();
    let card = card.to_str().unwrap();
    let redirect = ["refund-abnormal", "tea-0001", "r1", "--to"];
    for (arguments, status, says) in [
        (
            vec!["create", "--product", "native"],
            2,
            "--amount-fen is missing",
        ),
        (
            vec!["create", "--amount", "1"],
            2,
            "there is no option --amount here",
        ),
        (vec!["get"], 2, "ORDER_NO is missing"),
        (vec!["get", "tea-0001"], 1, "`cargo local` writes them"),
        (vec!["sign", "GET", "v1"], 2, "PATH begins with a slash"),
        (vec!["close", "tea-0001/x"], 2, "ORDER_NO has only digits"),
        (vec!["refund", "tea-0001"], 2, "--amount-fen is missing"),
        (
            vec![
                "refund",
                "tea-0001",
                "--amount-fen",
                "1",
                "--refund-no",
                "r",
                "--idempotency-key",
                "k",
            ],
            2,
            "not both",
        ),
        (vec!["refund-status", "tea-0001"], 2, "REFUND_NO is missing"),
        (
            vec!["refund-release", "tea-0001", "r1", "--who", "li"],
            2,
            "--why is missing",
        ),
        (
            [&redirect[..], &["bank"]].concat(),
            2,
            "--to is merchant or user, not `bank`",
        ),
        (
            [&redirect[..], &["user"]].concat(),
            2,
            "--card-file is missing",
        ),
        (
            [&redirect[..], &["merchant", "--card-file", card]].concat(),
            2,
            "--card-file goes with --to user only",
        ),
        (
            [&redirect[..], &["user", "--card-file", card]].concat(),
            1,
            "(a part of it must be a text)",
        ),
        (
            vec!["replay", "tea-0001", "last"],
            2,
            "`cargo client events` shows",
        ),
    ] {
        let output = run(&file, &arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert!(!error.contains("6222"), "{error}");
    }
}

fn run(settings: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_client"))
        .args(arguments)
        .arg("--settings")
        .arg(settings)
        .output()
        .unwrap()
}
