//! An independent implementation in another language: the PyPI package `standardwebhooks`, the
//! specification's own library, signs what this crate verifies, and verifies what this crate signs.
//! It is installed, pinned, into an environment under `target/`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use standard_webhooks::{Received, Secret, sign, verify};

const REQUIREMENTS: &str = include_str!("../python_peer/requirements.txt");
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python_peer/peer.py");

/// Text beyond ASCII, and a length that Base64 pads.
const BODY: &str = r#"{"type":"order.changed","data":{"note":"茶 \u0026 tea"}}"#;

#[test]
fn python_signs_what_we_verify_and_verifies_what_we_sign() {
    let Some(python) = environment() else { return };
    let now_s = ask(&python, &json!({"do": "now"}))["now_s"]
        .as_i64()
        .unwrap();
    for length in [24, 32, 64] {
        let secret = Secret::new(&vec![0x5A; length]).unwrap();
        python_signs_and_we_verify(&python, &secret, now_s);
        we_sign_and_python_verifies(&python, &secret, now_s);
    }
}

fn python_signs_and_we_verify(python: &Path, secret: &Secret, now_s: i64) {
    let job = json!({
        "do": "sign",
        "secret": secret.to_text().as_str(),
        "id": "ORDER-1_2",
        "timestamp_s": now_s,
        "body": BODY,
    });
    let answer = ask(python, &job);
    let timestamp = now_s.to_string();
    let received = Received {
        id: "ORDER-1_2",
        timestamp: &timestamp,
        signature: answer["signature"].as_str().unwrap(),
    };
    let secrets = std::slice::from_ref(secret);
    assert_eq!(verify(&received, BODY.as_bytes(), secrets, now_s), Ok(()));
    assert_eq!(
        verify(&received, b"{}", secrets, now_s).unwrap_err().name(),
        "wrong_signature"
    );
}

fn we_sign_and_python_verifies(python: &Path, secret: &Secret, now_s: i64) {
    let newer = Secret::new(&[0x77; 40]).unwrap();
    let verdict = |secrets: &[Secret], at_s: i64, body: &str| {
        let signed = sign("ORDER-1_2", at_s, BODY.as_bytes(), secrets).unwrap();
        let headers: Value = signed
            .iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let job = json!({
            "do": "verify",
            "secret": secret.to_text().as_str(),
            "headers": headers,
            "body": body,
        });
        ask(python, &job)["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict(std::slice::from_ref(secret), now_s, BODY), "valid");
    assert_eq!(
        verdict(&[newer.clone(), secret.clone()], now_s, BODY),
        "valid",
        "while the secret is changed"
    );
    assert_eq!(
        verdict(&[newer], now_s, BODY),
        "No matching signature found"
    );
    assert_eq!(
        verdict(std::slice::from_ref(secret), now_s, "{}"),
        "No matching signature found"
    );
    assert_eq!(
        verdict(std::slice::from_ref(secret), now_s - 400, BODY),
        "Message timestamp too old"
    );
}

fn ask(python: &Path, question: &Value) -> Value {
    let mut peer = Command::new(python)
        .arg(PEER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the environment's python starts");
    peer.stdin
        .take()
        .unwrap()
        .write_all(question.to_string().as_bytes())
        .unwrap();
    let output = peer.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "peer.py failed; its standard error is above"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The environment's interpreter. `None`, said plainly, if this machine has no Python; if it has
/// one, the package must install.
fn environment() -> Option<PathBuf> {
    if Command::new("python3").arg("--version").output().is_err() {
        // Not by `eprintln!`: the test harness would keep that for itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED python_peer: this machine has no python3"
        );
        return None;
    }
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standard-webhooks-python-peer");
    let python = home.join("bin/python3");
    let installed = home.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Some(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&home));
    let requirements = Path::new(PEER).with_file_name("requirements.txt");
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(requirements));
    fs::write(installed, REQUIREMENTS).unwrap();
    Some(python)
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed (it needs Python 3.10 or newer, its venv module and a package index):\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
