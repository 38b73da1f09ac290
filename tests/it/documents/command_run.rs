//! Runs commands as the documents print them, and keeps which were run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    DEPLOY, ON_CALL,
    not_run::NOT_RUN,
    printed::{self, Printed},
    shell::{self, Shell},
};

/// What was run of all that is printed.
pub(super) struct CommandRun {
    pub(super) shell: Shell,
    pub(super) printed: Vec<Printed>,
    pub(super) ran: BTreeSet<Printed>,
}

impl CommandRun {
    /// Runs what `document` prints beginning with `begin`, each of `values` put in place of what it
    /// stands for. It goes well, and gives what it says.
    pub(super) fn run(&mut self, document: &str, begin: &str, values: &[(&str, &str)]) -> String {
        self.run_with(document, begin, values, "")
    }

    /// The same with something on its standard input.
    pub(super) fn run_with(
        &mut self,
        document: &str,
        begin: &str,
        values: &[(&str, &str)],
        input: &str,
    ) -> String {
        let document = match document {
            "README.md" | ON_CALL | DEPLOY => document.to_owned(),
            runbook => format!("infra/runbooks/{runbook}"),
        };
        let found: Vec<&Printed> = self
            .printed
            .iter()
            .filter(|it| it.document == document && it.text.starts_with(begin))
            .collect();
        let one = match found.as_slice() {
            [one] => (*one).clone(),
            // The whole of a command may be the beginning of another.
            several => {
                let exact = several.iter().find(|it| it.text == begin);
                let exact = exact.unwrap_or_else(|| {
                    panic!("{document} prints `{begin}` {} times", several.len())
                });
                (*exact).clone()
            }
        };
        self.run_one(one, values, input)
    }

    fn run_one(&mut self, one: Printed, values: &[(&str, &str)], input: &str) -> String {
        let mut script = printed::long(&one.text);
        for (stands_for, value) in values {
            assert!(
                script.contains(stands_for),
                "{}: there is no {stands_for} in `{}`",
                one.document,
                one.text
            );
            script = script.replace(stands_for, value);
        }
        let printed = self.shell.run(&script, input);
        let printed =
            printed.unwrap_or_else(|printed| panic!("{}: `{script}`\n{printed}", one.document));
        self.ran.insert(one);
        printed
    }

    /// What is printed, not run, not a mention of what was run, and not named above.
    pub(super) fn left(&self) -> Vec<&Printed> {
        let lines: Vec<String> = self
            .ran
            .iter()
            .flat_map(|ran| printed::lines(&ran.text))
            .collect();
        let is_mention = |text: &str| {
            let text = printed::long(text);
            let is_it = |line: &String| *line == text || line.starts_with(&format!("{text} "));
            lines.iter().any(is_it)
        };
        // The page on deployments is followed: no block of it passes for a mention.
        let blocks = printed::blocks("sh");
        let is_followed = |it: &Printed| it.document == DEPLOY && blocks.contains(it);
        let left = self.printed.iter().filter(|it| {
            !self.ran.contains(it)
                && !NOT_RUN.iter().any(|(text, _why)| *text == it.text)
                && (is_followed(it) || !is_mention(&it.text))
        });
        left.collect()
    }

    /// Waits until a refund is in this state.
    pub(super) fn await_refund(&self, order_no: &str, state: &str) {
        let script = format!("cargo client refund-status {order_no} r1");
        self.await_output(&script, &format!("\"state\": \"{state}\""));
    }

    /// Waits until the money that came for an order is parked, and gives its notice's id.
    pub(super) fn await_notice(&self, simulator: &str, order_no: &str) -> String {
        let orders = shell::get(&format!("{simulator}/admin/orders?order={order_no}"));
        let orders: Value = serde_json::from_str(&orders).expect("JSON");
        let payment = &orders[0]["payments"][0]["transaction_id"];
        let id = format!("payment#{}", payment.as_str().expect("a payment"));
        let table = "NOTICES_TABLE=\"$(output NoticesTableName)\"";
        let script = format!("{table} cargo client notices show '{id}'");
        self.await_output(&script, "\"status\": \"parked\"");
        id
    }

    /// Waits until a command says this.
    pub(super) fn await_output(&self, script: &str, wanted: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            let printed = self.shell.run(script, "").unwrap_or_else(|printed| printed);
            if printed.contains(wanted) {
                return printed;
            }
            assert!(
                Instant::now() < deadline,
                "`{script}` never says {wanted}: {printed}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

pub(super) fn create(testbed: &CommandRun, order_no: &str) {
    let create = format!(
        "cargo client create --product native --amount-fen 100 --description Tea --order-no {order_no}"
    );
    testbed.shell.run(&create, "").expect("an order");
}

/// Creates an order and has it paid and booked.
pub(super) fn pay(testbed: &CommandRun, admin: &impl Fn(&str, Value), order_no: &str) {
    create(testbed, order_no);
    admin("pay", json!({ "order": order_no }));
    let get = format!("cargo client get {order_no}");
    testbed.await_output(&get, "\"state\": \"paid\"");
}

/// Creates an order whose callback has another amount.
pub(super) fn pay_wrongly(testbed: &CommandRun, admin: &impl Fn(&str, Value), order_no: &str) {
    create(testbed, order_no);
    let alter = json!({ "amount": { "total": 77, "payer_total": 77 } });
    admin("pay", json!({ "order": order_no, "alter": alter }));
}

/// Whether commands with `curl` can be tried here. CI sets `REQUIRE_CURL`, which fails the test
/// where they cannot.
pub(super) fn has_curl() -> bool {
    let found = std::process::Command::new("curl")
        .arg("--version")
        .output()
        .is_ok();
    assert!(
        found || std::env::var_os("REQUIRE_CURL").is_none(),
        "no curl found, and REQUIRE_CURL is set: install it (Debian: apt-get install curl)"
    );
    if !found {
        println!("curl is not installed here: what is printed with it was not tried");
    }
    found
}

/// The API's answer in a command's output.
pub(super) fn answer(printed: &str) -> Value {
    let begin = printed.find(['{', '[']).expect("an answer");
    let mut values = serde_json::Deserializer::from_str(&printed[begin..]).into_iter();
    values.next().expect("an answer").expect("JSON")
}

/// A text of the API's or AWS's.
pub(super) fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
