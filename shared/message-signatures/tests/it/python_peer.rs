//! An independent client in another language: the PyPI package `http-message-signatures` signs what
//! this crate verifies, and verifies what this crate signs. It is installed, pinned, into an
//! environment under `target/`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use message_signatures::{Params, SigningKey, VerifyingKey};
use serde_json::{Value, json};

use crate::support::{Draft, ED25519, NOW_S, RSA, SECRET, hmac_signer, hmac_verifier};

const REQUIREMENTS: &str = include_str!("../python_peer/requirements.txt");
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python_peer/peer.py");

#[test]
fn python_signs_what_we_verify_and_verifies_what_we_sign() {
    let Some(python) = environment() else { return };
    for kind in kinds() {
        python_signs_and_we_verify(&python, &kind);
        we_sign_and_python_verifies(&python, &kind);
    }
}

/// One algorithm with both sides' keys; a shared secret is the same on all of them.
struct Kind {
    algorithm: &'static str,
    signer: SigningKey,
    verifier: VerifyingKey,
    private: String,
    public: String,
}

fn kinds() -> [Kind; 3] {
    let secret = String::from_utf8(SECRET.to_vec()).unwrap();
    let hmac = Kind {
        algorithm: "hmac-sha256",
        signer: hmac_signer(),
        verifier: hmac_verifier(),
        private: secret.clone(),
        public: secret,
    };
    let [rsa, ed25519] = [&RSA, &ED25519].map(|pair| Kind {
        algorithm: pair.algorithm.name(),
        signer: pair.signer(),
        verifier: pair.verifier(),
        private: pair.private_pem.clone(),
        public: pair.public_pem.clone(),
    });
    [hmac, rsa, ed25519]
}

fn python_signs_and_we_verify(python: &Path, kind: &Kind) {
    let parts = ["@query", "@path", "@authority", "@method"].as_slice();
    let whole = ["@target-uri", "@method"].as_slice();
    for (draft, include_alg, target) in [
        (Draft::post(), true, parts),
        (Draft::get(), false, parts),
        (Draft::post(), false, whole),
        (Draft::get(), true, whole),
    ] {
        // Not in our own order, and with a component that the profile does not ask for.
        let mut covered = target.to_vec();
        covered.push("x-extra");
        covered.extend(
            ["prefer", "idempotency-key"]
                .iter()
                .filter(|_| draft.method == "POST"),
        );
        let draft = draft.header("X-Extra", "  two words ");
        let mut question = job("sign", &draft, kind, &kind.private);
        question["created"] = json!(NOW_S);
        question["nonce"] = json!("from \"python\"");
        question["include_alg"] = json!(include_alg);
        question["covered"] = json!(covered);
        let answer = ask(python, &question);

        let mut signed = draft.clone();
        signed.headers.clear();
        for (name, value) in answer["headers"].as_object().unwrap() {
            signed = signed.header(name, value.as_str().unwrap());
        }
        let claim = signed.check(&kind.verifier).expect(kind.algorithm);
        assert_eq!(claim.nonce.as_deref(), Some("from \"python\""));
        assert_eq!(claim.alg.as_deref(), include_alg.then_some(kind.algorithm));

        let mut altered = signed.clone();
        altered.path.push('x');
        assert_eq!(
            altered.check(&kind.verifier).unwrap_err().name(),
            "wrong_signature"
        );
    }
}

fn we_sign_and_python_verifies(python: &Path, kind: &Kind) {
    for draft in [Draft::post(), Draft::get()] {
        let params = Params {
            keyid: "k1",
            created_s: NOW_S,
            expires_s: None,
            nonce: Some("from \"rust\""),
        };
        let mut signed = draft.signed_as(&kind.signer, &params);
        let answer = ask(python, &job("verify", &signed, kind, &kind.public));
        assert_eq!(answer["verdict"], "valid", "{}", kind.algorithm);
        assert_eq!(answer["nonce"], "from \"rust\"");
        let covered = answer["covered"].as_array().unwrap();
        assert!(covered.contains(&json!("\"@query\"")), "{covered:?}");
        assert_eq!(
            covered.contains(&json!("\"content-digest\"")),
            !signed.body.is_empty()
        );

        signed.path.push('x');
        let answer = ask(python, &job("verify", &signed, kind, &kind.public));
        assert!(
            answer["verdict"]
                .as_str()
                .unwrap()
                .starts_with("InvalidSignature"),
            "{answer}"
        );
    }
}

fn job(what: &str, draft: &Draft, kind: &Kind, key: &str) -> Value {
    let query = draft
        .query
        .as_ref()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let headers: Value = draft
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), json!(std::str::from_utf8(value).unwrap())))
        .collect();
    json!({
        "do": what,
        "algorithm": kind.algorithm,
        "keyid": "k1",
        "key": key,
        "method": draft.method,
        "url": format!("https://{}{}{query}", draft.authority, draft.path),
        "headers": headers,
        "body": std::str::from_utf8(&draft.body).unwrap(),
    })
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
/// one, the packages must install.
fn environment() -> Option<PathBuf> {
    if Command::new("python3").arg("--version").output().is_err() {
        // Not by `eprintln!`: the test harness would keep that for itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED python_peer: this machine has no python3"
        );
        return None;
    }
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-peer");
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
