//! The one command, end to end: compiled bootstraps under the local engine's Lambda, deployed from `template.yaml`, with real
//! queues, tables, keys and HTTP in between, and the simulator for WeChat Pay.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

/// Runs `cargo local --once` with these words and gives back the last line it printed.
fn play(state: &std::path::Path, words: &[&str]) -> Value {
    let ports = ["--port", "0", "--simulator-port", "0", "--engine-port", "0"];
    let played = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "local",
            "--bin",
            "local",
            "--",
            "--once",
            "--state",
        ])
        .arg(state)
        .args(ports)
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
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
    let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("one-command-{}", std::process::id()));
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
