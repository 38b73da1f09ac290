//! The one command, end to end: compiled bootstraps under the local engine's Lambda, deployed from
//! `template.yaml`, with real queues, tables, keys and HTTP in between, and the simulator for
//! WeChat Pay.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::documents::rotation::every_key_is_changed;

/// `cargo local` on free ports.
fn cargo_local(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["run", "--quiet", "--locked", "--bin", "local", "--"])
        .arg("--state")
        .arg(state)
        .args(["--port", "0", "--simulator-port", "0"])
        .args(["--engine-port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}

/// A state directory of a test's own.
pub(crate) fn state_dir(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

/// Runs `cargo local --once` with these words and gives back the last line it printed.
fn run_scenario(state: &Path, words: &[&str]) -> Value {
    let run = cargo_local(state)
        .arg("--once")
        .args(words)
        .output()
        .expect("cargo");
    let text = String::from_utf8(run.stdout).expect("text");
    println!("{text}");
    assert!(
        run.status.success(),
        "`cargo local --once` ended with {}",
        run.status
    );
    serde_json::from_str(text.lines().last().expect("a last line")).expect("JSON as the last line")
}

/// `cargo local` as started in a terminal: alone in a process group, where Ctrl-C reaches all of
/// it. It is stopped whatever the test's result.
pub(crate) struct LeftRunning {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl LeftRunning {
    pub(crate) fn start(state: &Path) -> Self {
        let mut child = cargo_local(state).process_group(0).spawn().expect("cargo");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    /// What it prints before and after it says that it runs until Ctrl-C, up to the end of the
    /// `curl` command.
    pub(crate) fn read_invitation(&mut self) -> String {
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
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
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

/// The file of a day's differences, downloaded by the console's link: through the compiled
/// function, the runtime and the API.
fn file_of(console: &str) -> String {
    let opened = get(console).expect("the console");
    let day = opened
        .lines()
        .find_map(|line| line.strip_prefix("location: /console/"))
        .expect("a day");
    let api = console.strip_suffix("/console").expect("its path");
    get(&format!("{api}/v1/reconciliations/{day}/differences.csv")).expect("the file")
}

pub(crate) fn address<'a>(invitation: &'a str, name: &str) -> &'a str {
    let mut words = invitation.split_whitespace();
    words
        .by_ref()
        .find(|word| *word == name)
        .and_then(|_| words.next())
        .expect("an address")
}

/// Waits until the receiver lists a webhook whose id begins so.
fn await_webhook(receiver: &str, id: &str) {
    let wanted = format!("\"webhook_id\":\"{id}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !get(receiver).expect("the list").contains(&wanted) {
        assert!(Instant::now() < deadline, "no webhook {id} came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The steps of each payment.
const PAYMENT: [&str; 6] = [
    "create_order",
    "prepay_at_wechat",
    "user_pays",
    "callback",
    "booked",
    "merchant_reads",
];

/// The steps of what comes later, once.
const LATER: [&str; 9] = [
    "webhook",
    "refund",
    "refund_done",
    "timeline",
    "create_order_2",
    "close",
    "create_order_3",
    "late_money",
    "late_money_refunded",
];

/// The steps of the day's end, once.
const DAYS_END: [&str; 9] = [
    "create_order_4",
    "paid_twice",
    "create_order_5",
    "news_lost",
    "day_previewed",
    "day_reconciled",
    "news_found",
    "refund_approved",
    "second_refunded",
];

/// A successful scenario has these steps: so many payments, the later events, and the day's end.
fn is_whole(run: &Value, payments: usize) {
    assert_eq!(run["ok"], true, "{run}");
    let steps = run["steps"].as_array().expect("steps");
    assert!(
        steps
            .iter()
            .all(|step| step["ms"].is_i64() && step["ids"].is_object()),
        "{run}"
    );
    let names: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["name"].as_str())
        .collect();
    let expected: Vec<&str> = std::iter::repeat_n(PAYMENT, payments)
        .flatten()
        .chain(LATER)
        .chain(DAYS_END)
        .collect();
    assert_eq!(names, expected);
}

/// The output of the last step with this name.
fn ids<'a>(run: &'a Value, name: &str) -> &'a Value {
    let steps = run["steps"].as_array().expect("steps");
    let step = steps.iter().rfind(|step| step["name"] == name);
    &step.expect("the step")["ids"]
}

/// A paid order had its webhooks and was refunded in part, one order was closed, and a late payment
/// was refunded whole. The simulator's own books in its file agree.
fn whole_life_was_run(state: &Path, run: &Value) {
    let paid = &ids(run, "merchant_reads")["order_no"];
    let webhook = ids(run, "webhook");
    assert_eq!(
        (&webhook["signature"], &webhook["state"]),
        (&json!("verified"), &json!("paid"))
    );
    let of_this_order = format!("{}_", paid.as_str().expect("a number"));
    let webhook_id = webhook["webhook_id"].as_str().expect("an id");
    assert!(webhook_id.starts_with(&of_this_order), "{webhook_id}");
    let came = &run["webhooks"];
    assert_eq!(
        (&came["refused"], came["verified"].as_u64() > Some(0)),
        (&json!(0), true)
    );

    assert_eq!(ids(run, "refund")["state"], "reserved");
    assert_eq!(ids(run, "refund_done")["state"], "succeeded");
    let timeline = ids(run, "timeline");
    for (subject, first, last) in [
        ("order", "reserved>", ">paid>partially_refunded"),
        ("refund", "reserved>", ">succeeded"),
    ] {
        let states = timeline[subject].as_str().expect("states");
        assert!(
            states.starts_with(first) && states.ends_with(last),
            "{timeline}"
        );
    }
    assert_eq!(ids(run, "close")["state"], "closed");
    assert_eq!(ids(run, "late_money")["state"], "closed");
    assert_eq!(ids(run, "late_money_refunded")["state"], "refunded");

    let (previewed, reconciled) = (ids(run, "day_previewed"), ids(run, "day_reconciled"));
    for (kind, before, after) in [
        ("paid_there_unpaid_here", "open", "repaired"),
        ("duplicate_payment", "open", "proposed"),
    ] {
        assert_eq!(
            (&previewed[kind], &reconciled[kind]),
            (&json!(before), &json!(after))
        );
    }
    assert_eq!(ids(run, "news_found")["state"], "paid");
    let second = ids(run, "second_refunded");
    assert_eq!(
        (&second["state"], &second["difference"]),
        (&json!("succeeded"), &json!("repaired"))
    );

    let file = std::fs::read_to_string(state.join("simulator.json")).expect("the simulator's file");
    let simulator: Value = serde_json::from_str(&file).expect("JSON");
    for (step, order_no, fen) in [
        ("refund_done", paid, 40),
        (
            "late_money_refunded",
            &ids(run, "late_money")["order_no"],
            100,
        ),
        ("second_refunded", &ids(run, "paid_twice")["order_no"], 100),
    ] {
        let number = ids(run, step)["out_refund_no"].as_str().expect("a number");
        let refund = &simulator["books"]["refunds"][number];
        assert_eq!(
            (
                &refund["out_trade_no"],
                &refund["refund_fen"],
                &refund["status"]
            ),
            (order_no, &json!(fen), &json!("SUCCESS")),
            "{step}: {refund}"
        );
    }
}

#[test]
fn the_whole_life_of_an_order_goes_through_compiled_functions_and_data_survives_a_restart() {
    let state = state_dir("one-command");
    let first = run_scenario(&state, &["--product", "all"]);
    is_whole(&first, 5);
    whole_life_was_run(&state, &first);
    let again = run_scenario(&state, &["--sealed-key"]);
    assert_eq!(
        again["last_order"]["order_no"],
        ids(&first, "merchant_reads")["order_no"]
    );
    assert_eq!(
        again["last_order"]["state"], "partially_refunded",
        "what was paid, and given back in part, is still there"
    );
    is_whole(&again, 1);
    // The second run signs by the sealed key; its webhooks go where those of the first went.
    whole_life_was_run(&state, &again);
    std::fs::remove_dir_all(&state).expect("the state directory");
}

#[test]
fn a_running_stack_takes_orders_payers_and_webhooks_while_every_key_is_changed_and_ends_well_at_ctrl_c()
 {
    let state = state_dir("left-running");
    let mut running = LeftRunning::start(&state);
    let text = running.read_invitation();
    let (_, invitation) = text
        .split_once("Running until Ctrl-C.")
        .expect("the line that says so");

    let webhooks = address(invitation, "webhooks");
    await_webhook(webhooks, "play-late-");

    let curl = &invitation[invitation.find("curl ").expect("a command")..];
    if Command::new("curl").arg("--version").output().is_ok() {
        let asked = Command::new("sh").args(["-c", curl]).output().expect("sh");
        let answer = String::from_utf8(asked.stdout).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        assert!(head.starts_with("HTTP/1.1 201 "), "{answer}");
        let order: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(order["state"], "awaiting_payment");
        assert!(order["prepay"]["code_url"].is_string(), "{order}");
        let order_no = order["order_no"].as_str().expect("a number");
        await_webhook(webhooks, &format!("{order_no}_2"));
    } else {
        println!("curl is not installed here: the printed command was not tried");
    }

    let phone = address(invitation, "phone");
    let page = get(phone).expect("the phone page");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.contains("<html"), "{page}");

    let file = file_of(address(invitation, "console"));
    let (head, body) = file.split_once("\r\n\r\n").expect("a whole answer");
    assert!(head.contains("text/csv"), "{head}");
    assert!(
        body.contains("\u{feff}about,date,id,"),
        "the mark is lost: {body}"
    );

    // The compiled console asks this program for metrics, and it takes the question.
    let map = get(&format!("{}/map", address(invitation, "console"))).expect("the service map");
    assert!(map.starts_with("HTTP/1.1 200 "), "{map}");
    assert!(
        map.contains("In the hour") && !map.contains("The figures are not there"),
        "{map}"
    );

    every_key_is_changed(&state, invitation);

    assert_eq!(running.interrupt().code(), Some(0));
    for url in [phone, webhooks] {
        assert!(get(url).is_err(), "nobody listens at {url} any more");
    }
    std::fs::remove_dir_all(&state).expect("the state directory");
}
