//! The bundle of `cargo local` while it runs: built functions behind the local API and engine.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use client::Client;
use serde_json::{Value, json};
use wechatpay::time::beijing_day;

use super::ask::{ask, get, post};
use crate::clock;
use crate::failure::{ErrorContext, Failure, MeasureResult};
use crate::paths;

/// What it prints when all is up.
const IS_UP: &str = "Running until Ctrl-C.";

/// How long a day's reconciliation may take.
const RECONCILED_WITHIN: Duration = Duration::from_secs(180);

/// How the functions are built.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Functions {
    /// As `cargo local` builds them by itself: quickly.
    Debug,
    /// As they are deployed.
    Release,
    /// They are in this directory.
    Built(PathBuf),
}

/// What runs. It is stopped when it is dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    child: Child,
    /// Of `cargo local`.
    program: PathBuf,
    state: PathBuf,
    pub(crate) api: String,
    pub(crate) simulator: String,
    engine: String,
}

impl Stack {
    /// Starts it with nothing of earlier runs, and waits until it is up. Its own log goes to a file
    /// in its directory.
    pub(crate) fn start(functions: &Functions) -> MeasureResult<Self> {
        let state = paths::scratch()?.join("availability");
        fs::create_dir_all(&state).during(format!("making {}", state.display()))?;
        let log = state.join("local.log");
        let log_file = File::create(&log).during(format!("writing {}", log.display()))?;
        let mut command = Command::new("cargo");
        command
            .current_dir(paths::root()?)
            .args(["run", "--quiet", "--locked", "--bin", "local", "--"])
            .args(["--fresh", "--port", "0", "--simulator-port", "0"])
            .args(["--engine-port", "0", "--state"])
            .arg(&state);
        match functions {
            Functions::Debug => {}
            Functions::Release => {
                command.arg("--release");
            }
            Functions::Built(directory) => {
                command.arg("--bins").arg(directory);
            }
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .during("running cargo local")?;
        let output = child.stdout.take();
        let mut stack = Self {
            child,
            program: PathBuf::new(),
            state,
            api: String::new(),
            simulator: String::new(),
            engine: String::new(),
        };
        let output = output.ok_or_else(|| Failure::new("cargo local has no output"))?;
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        if !lines.any(|line| line.contains(IS_UP)) {
            let log = log.display();
            return Err(Failure::new(format!(
                "cargo local ended by itself; its log: {log}"
            )));
        }
        // Cargo has become it.
        stack.program = fs::read_link(format!("/proc/{}/exe", stack.child.id()))
            .during("finding the program of cargo local")?;
        // Read on, or it would wait for a reader.
        thread::spawn(move || lines.for_each(drop));
        stack.api = stack.text("client.json", "api_url")?;
        stack.simulator = stack.text("wechatpay.json", "base_url")?;
        stack.engine = stack.text("deployment.json", "endpoint")?;
        Ok(stack)
    }

    fn text(&self, file: &str, member: &str) -> MeasureResult<String> {
        let path = self.state.join(file);
        let what = || format!("reading {}", path.display());
        let text = fs::read_to_string(&path).during(what())?;
        let value: Value = serde_json::from_str(&text).during(what())?;
        let found = value.get(member).and_then(Value::as_str);
        found
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("{} has no {member}", path.display())))
    }

    /// The client of the API that `cargo local` has registered.
    pub(crate) fn client(&self) -> MeasureResult<Client> {
        Client::load(&self.state.join("client.json")).during("reading the client's settings")
    }

    /// `127.0.0.1:<port>` of the simulator.
    pub(crate) fn simulator_address(&self) -> &str {
        self.simulator.trim_start_matches("http://")
    }

    /// `cargo local deploy` with these words.
    pub(crate) fn deploy(&self, words: &[String]) -> MeasureResult<()> {
        let deployed = Command::new(&self.program)
            .arg("deploy")
            .args(words)
            .arg("--state")
            .arg(&self.state)
            .output()
            .during("deploying")?;
        if deployed.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&deployed.stderr);
        Err(Failure::new(format!("not deployed: {said}")))
    }

    /// The AWS engine restarts, while all else stays up.
    pub(crate) fn restart_engine(&self) -> MeasureResult<()> {
        self.signal("-USR1")
    }

    /// Of the calls to these AWS services so many of a hundred are throttled; none of any with an
    /// empty list.
    pub(crate) fn throttle(&self, services: &[&str], percent: u32) -> MeasureResult<()> {
        let url = format!("{}/_local/throttles", self.engine);
        if services.is_empty() {
            ask("DELETE", &url, &[], "")?.success("the end of throttles")?;
        }
        for service in services {
            let throttle = json!({"service": service, "percent": percent});
            post(&url, &throttle)?.success("a throttle")?;
        }
        Ok(())
    }

    /// A call at WeChat Pay: the payer, or the merchant platform.
    pub(crate) fn admin(&self, path: &str, body: &Value) -> MeasureResult<()> {
        let answer = post(&format!("{}/admin/{path}", self.simulator), body)?;
        answer.success(path).map(drop)
    }

    /// No fault of the simulator any more.
    pub(crate) fn end_faults(&self) -> MeasureResult<()> {
        let url = format!("{}/admin/faults", self.simulator);
        ask("DELETE", &url, &[], "")?.success("the end of faults")?;
        Ok(())
    }

    /// All values that metrics had from then on.
    pub(crate) fn metrics(&self, from_ms: i64) -> MeasureResult<Value> {
        let to_ms = clock::now_ms();
        let url = format!(
            "{}/alarms/metrics?from_ms={from_ms}&to_ms={to_ms}",
            self.api
        );
        get(&url)?.success("the metrics")?.json()
    }

    /// Today's Beijing date.
    pub(crate) fn today() -> String {
        beijing_day(clock::now())
    }

    /// Holds WeChat Pay's bill of a day against the books, and gives how many payments of orders
    /// whose numbers begin so are in the bill alone.
    pub(crate) fn payments_in_the_bill_alone(
        &self,
        date: &str,
        prefix: &str,
    ) -> MeasureResult<u64> {
        self.admin("bills", &json!({"of_today": true}))?;
        let url = format!("{}/v1/reconciliations/{date}", self.api);
        let started = post(&url, &json!({"dry_run": false}))?
            .success("the request for a reconciliation")?
            .json()?;
        let run_id = started.get("run_id").cloned();
        let begin = Instant::now();
        loop {
            // The run before it stands there until this one begins.
            let day = get(&url)?.json().unwrap_or_default();
            let is_this = run_id.is_some() && day.get("run_id") == run_id.as_ref();
            match day.get("state").and_then(Value::as_str) {
                Some("done") if is_this => break,
                Some("failed") if is_this => {
                    return Err(Failure::new(format!("{date} was not reconciled: {day}")));
                }
                _ if begin.elapsed() > RECONCILED_WITHIN => {
                    return Err(Failure::new(format!(
                        "{date} was not reconciled in time: {day}"
                    )));
                }
                _ => thread::sleep(Duration::from_millis(300)),
            }
        }
        let (mut count, mut after) = (0, String::new());
        loop {
            let page = get(&format!("{url}/differences?limit=100{after}"))?
                .success("the differences")?
                .json()?;
            count += in_the_bill_alone(&page, prefix);
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(count),
            }
        }
    }

    fn signal(&self, signal: &str) -> MeasureResult<()> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        let is_sent = sent.during("running kill")?.success();
        is_sent
            .then_some(())
            .ok_or_else(|| Failure::new("cargo local is gone"))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // As Ctrl-C. If it is gone, there is nothing to stop.
        drop(self.signal("-INT"));
        drop(self.child.wait());
    }
}

fn in_the_bill_alone(page: &Value, prefix: &str) -> u64 {
    let differences = page.get("differences").and_then(Value::as_array);
    let is_lost = |one: &&Value| {
        let order_no = one.pointer("/about/order_no").and_then(Value::as_str);
        one.get("kind").and_then(Value::as_str) == Some("paid_there_unpaid_here")
            && order_no.is_some_and(|order_no| order_no.starts_with(prefix))
    };
    let lost = differences.into_iter().flatten().filter(is_lost).count();
    u64::try_from(lost).unwrap_or(u64::MAX)
}

/// Where the built functions of an earlier `cargo build` are.
pub(crate) fn built(directory: &str) -> Functions {
    Functions::Built(Path::new(directory).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_in_the_bill_alone_counts_whatever_became_of_it_since() {
        let one = |kind: &str, order_no: &str, state: &str| json!({"kind": kind, "state": state, "about": {"order_no": order_no}});
        let page = json!({"differences": [
            one("paid_there_unpaid_here", "day-1-1", "repaired"),
            one("paid_there_unpaid_here", "day-1-2", "open"),
            one("paid_there_unpaid_here", "day-2-1", "open"),
            one("duplicate_payment", "day-1-3", "open"),
            json!({"kind": "paid_there_unpaid_here", "about": {}}),
        ]});
        assert_eq!(in_the_bill_alone(&page, "day-1-"), 2);
        assert_eq!(in_the_bill_alone(&json!({}), "day-1-"), 0);
    }
}
