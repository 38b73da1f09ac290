//! The one command, end to end: compiled bootstraps under the local engine's Lambda, deployed from `template.yaml`, with real
//! queues, tables, keys and HTTP in between, and the simulator for WeChat Pay.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use serde_json::Value;

/// `cargo local` on free ports.
fn cargo_local(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--locked", "--package", "local"])
        .args(["--bin", "local", "--", "--state"])
        .arg(state)
        .args(["--port", "0", "--simulator-port", "0"])
        .args(["--engine-port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}

/// A state directory of a test's own.
fn state_dir(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

/// Runs `cargo local --once` with these words and gives back the last line it printed.
fn play(state: &Path, words: &[&str]) -> Value {
    let played = cargo_local(state)
        .arg("--once")
        .args(words)
        .output()
        .expect("cargo");
    let text = String::from_utf8(played.stdout).expect("text");
    println!("{text}");
    assert!(
        played.status.success(),
        "`cargo local --once` ended with {}",
        played.status
    );
    serde_json::from_str(text.lines().last().expect("a last line")).expect("JSON as the last line")
}

/// `cargo local` as a person starts it in a terminal: alone in a process group, where Ctrl-C reaches all of it. Whatever
/// becomes of the test, it is stopped.
struct LeftRunning {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl LeftRunning {
    fn start(state: &Path) -> Self {
        let mut child = cargo_local(state).process_group(0).spawn().expect("cargo");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    /// What it prints before and after it says that it runs until Ctrl-C, up to the end of the `curl` command.
    fn read_invitation(&mut self) -> String {
        let mut text = String::new();
        loop {
            let begin = text.len();
            let length = self.output.read_line(&mut text).expect("text");
            let line = &text[begin..];
            assert_ne!(length, 0, "it ended by itself:\n{text}");
            if line.trim_start().starts_with("--url ") {
                println!("{text}");
                return text;
            }
        }
    }

    /// Ctrl-C, and how it ended.
    fn interrupt(&mut self) -> ExitStatus {
        let group = format!("-{}", self.child.id());
        let sent = Command::new("kill").args(["-INT", "--", &group]).status();
        assert!(sent.expect("kill").success());
        self.child.wait().expect("an end")
    }
}

impl Drop for LeftRunning {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.interrupt();
        }
    }
}

/// A page as a browser gets it, with the head of the answer.
fn get(url: &str) -> std::io::Result<String> {
    let address = url.strip_prefix("http://").expect("plain HTTP");
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The names of the steps, and each order's transaction number.
fn steps(played: &Value) -> (Vec<&str>, usize) {
    assert_eq!(played["ok"], true, "{played}");
    let steps = played["steps"].as_array().expect("steps");
    assert!(
        steps
            .iter()
            .all(|step| step["ms"].is_i64() && step["ids"].is_object()),
        "{played}"
    );
    let paid = steps
        .iter()
        .filter(|step| step["ids"]["transaction_id"].is_string());
    (
        steps
            .iter()
            .filter_map(|step| step["name"].as_str())
            .collect(),
        paid.count(),
    )
}

#[test]
fn a_payment_of_each_product_goes_through_compiled_functions_and_data_survives_a_restart() {
    let state = state_dir("one-command");
    let first = play(&state, &["--product", "all"]);
    let (names, paid) = steps(&first);
    assert!(paid >= 5, "an order of each product is paid: {names:?}");
    let again = play(&state, &["--sealed-key"]);
    assert_eq!(
        again["last_order"]["state"], "paid",
        "what was paid is still there"
    );
    assert!(
        steps(&again).1 >= 1,
        "the second run, signing by the sealed key, pays too"
    );
    std::fs::remove_dir_all(&state).expect("the state directory");
}

#[test]
fn what_is_left_running_takes_orders_and_payers_and_ends_well_at_ctrl_c() {
    let state = state_dir("left-running");
    let mut running = LeftRunning::start(&state);
    let text = running.read_invitation();
    let (_, invitation) = text
        .split_once("Running until Ctrl-C.")
        .expect("the line that says so");

    let curl = &invitation[invitation.find("curl ").expect("a command")..];
    if Command::new("curl").arg("--version").output().is_ok() {
        let asked = Command::new("sh").args(["-c", curl]).output().expect("sh");
        let answer = String::from_utf8(asked.stdout).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        assert!(head.starts_with("HTTP/1.1 201 "), "{answer}");
        let order: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(order["state"], "awaiting_payment");
        assert!(order["prepay"]["code_url"].is_string(), "{order}");
    } else {
        println!("curl is not installed here: the printed command was not tried");
    }

    let phone = invitation
        .split_whitespace()
        .skip_while(|word| *word != "phone")
        .nth(1)
        .expect("the phone's address");
    let page = get(phone).expect("the phone page");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.contains("<html"), "{page}");

    assert_eq!(running.interrupt().code(), Some(0));
    assert!(get(phone).is_err(), "nobody listens any more");
    std::fs::remove_dir_all(&state).expect("the state directory");
}
