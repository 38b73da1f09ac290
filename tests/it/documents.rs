//! Every command in the README and the runbooks is run as printed, against the stack of `cargo
//! local`. Only the names in capitals, dates and file names are replaced. A new command without a
//! run fails the test.
//!
//! Commands that only work on AWS are checked by the AWS CLI's own model ([`ONLY_AWS`]), and those
//! that cannot be run here at all are listed with their reasons ([`NOT_RUN`]).

mod certificate;
mod deploy;
mod merchant_key;
mod not_run;
mod printed;
mod shell;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::one_command::{LeftRunning, address, state_dir};
pub(crate) use certificate::{MERCHANT_KEY, merchant_certificate};
use not_run::NOT_RUN;
use printed::Printed;
use shell::Shell;

/// What the local engine does not do. The CLI itself checks the arguments and answers with a
/// sample.
const ONLY_AWS: [(&str, &str); 1] = [(
    "/aws/vendedlogs/apis/",
    "the engine's API writes no access log",
)];

/// The first page for on-call.
const ON_CALL: &str = "infra/runbooks/README.md";

/// The page on deployments.
const DEPLOY: &str = "infra/DEPLOY.md";

/// What was run of all that is printed.
struct CommandRun {
    shell: Shell,
    printed: Vec<Printed>,
    ran: BTreeSet<Printed>,
}

impl CommandRun {
    /// Runs what `document` prints beginning with `begin`, each of `values` put in place of what it
    /// stands for. It goes well, and gives what it says.
    fn run(&mut self, document: &str, begin: &str, values: &[(&str, &str)]) -> String {
        self.run_with(document, begin, values, "")
    }

    /// The same with something on its standard input.
    fn run_with(
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
    fn left(&self) -> Vec<&Printed> {
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
    fn await_refund(&self, order_no: &str, state: &str) {
        let script = format!("cargo client refund-status {order_no} r1");
        self.await_output(&script, &format!("\"state\": \"{state}\""));
    }

    /// Waits until the money that came for an order is parked, and gives its notice's id.
    fn await_notice(&self, simulator: &str, order_no: &str) -> String {
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
    fn await_output(&self, script: &str, wanted: &str) -> String {
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

/// Another signing key than the stack's, into which one can be imported.
const EXTERNAL_KEY: &str = "export MERCHANT_SIGNING_KEY_ID=\"$(aws kms create-key --origin EXTERNAL --key-spec RSA_2048 \
                            --key-usage SIGN_VERIFY --query KeyMetadata.KeyId --output text)\"";

fn create(testbed: &CommandRun, order_no: &str) {
    let create = format!(
        "cargo client create --product native --amount-fen 100 --description Tea --order-no {order_no}"
    );
    testbed.shell.run(&create, "").expect("an order");
}

/// Creates an order and has it paid and booked.
fn pay(testbed: &CommandRun, admin: &impl Fn(&str, Value), order_no: &str) {
    create(testbed, order_no);
    admin("pay", json!({ "order": order_no }));
    let get = format!("cargo client get {order_no}");
    testbed.await_output(&get, "\"state\": \"paid\"");
}

/// Creates an order whose callback has another amount.
fn pay_wrongly(testbed: &CommandRun, admin: &impl Fn(&str, Value), order_no: &str) {
    create(testbed, order_no);
    let alter = json!({ "amount": { "total": 77, "payer_total": 77 } });
    admin("pay", json!({ "order": order_no, "alter": alter }));
}

/// Whether commands with `curl` can be tried here. CI sets `REQUIRE_CURL`, which fails the test
/// where they cannot.
fn has_curl() -> bool {
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

/// Every field that a query or a filter names is in some line that a function logged, and so is
/// every text that is searched for.
fn queried_fields_are_in_the_lines(lines: &str) {
    let lines: Vec<Value> = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let has = |field: &str| lines.iter().any(|line| !line[field].is_null());
    let says = |field: &str, text: &str| lines.iter().any(|line| line[field] == text);
    // What the template's alarms watch is compared with the lines that write it where alarms are
    // tested.
    let template = std::fs::read_to_string(printed::root().join("template.yaml")).expect("it");
    let is_counted =
        |field: &str| has(field) || template.contains(&format!("MetricName: {field}\n"));
    let queries = printed::blocks("insights");
    assert!(!queries.is_empty());
    for query in &queries {
        let fields = query.text.strip_prefix("fields ").expect("fields first");
        let fields = fields.lines().next().expect("a line");
        for field in fields.split(", ").filter(|field| !field.starts_with('@')) {
            assert!(has(field), "{}: no line has {field}", query.document);
        }
    }
    let mut checked = 0;
    for it in printed::all() {
        if ["/aws/vendedlogs/", "/aws/events/"]
            .iter()
            .any(|group| it.text.contains(group))
        {
            continue; // the API's own log, whose form the template gives, and AWS's events
        }
        for condition in it.text.split("$.").skip(1) {
            let (field, rest) = condition.split_once(" = ").expect("a comparison");
            let printed = format!("{}: no line has {field} = {rest}", it.document);
            match rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                Some((text, _)) => assert!(says(field, text), "{printed}"),
                None => assert!(is_counted(field), "{printed}"),
            }
            checked += 1;
        }
    }
    assert!(checked > 0, "no filter was found");
}

/// The API's answer in a command's output.
fn answer(printed: &str) -> Value {
    let begin = printed.find(['{', '[']).expect("an answer");
    let mut values = serde_json::Deserializer::from_str(&printed[begin..]).into_iter();
    values.next().expect("an answer").expect("JSON")
}

#[test]
fn every_command_that_the_documents_print_runs_as_it_stands() {
    let state = state_dir("documents");
    let mut running = LeftRunning::start(&state);
    let invitation = running.read_invitation();
    let (steps, invitation) = invitation
        .split_once("Running until Ctrl-C.")
        .expect("the line that says so");
    // The day that was reconciled. It may be over by now.
    let day = steps
        .split_whitespace()
        .find_map(|word| word.strip_prefix("date="))
        .expect("the day's step")
        .to_owned();
    let api = address(invitation, "API").to_owned();
    let simulator = address(invitation, "phone")
        .trim_end_matches("/phone")
        .to_owned();
    let engine = address(invitation, "engine").to_owned();
    let admin = |path: &str, body: Value| {
        let answer = shell::post(&format!("{simulator}/admin/{path}"), &body.to_string());
        assert!(answer.starts_with("HTTP/1.1 2"), "{path} {body}: {answer}");
    };
    let settings = state.join("client.json").to_str().expect("text").to_owned();
    let details = std::fs::read_to_string(state.join("wechatpay.json")).expect("details");
    let details: Value = serde_json::from_str(&details).expect("JSON");
    let detail = |name: &str| details[name].as_str().expect("a detail").to_owned();

    let shell = Shell::new(&state.join("shell"), &engine);
    let mut testbed = CommandRun {
        shell,
        printed: printed::all(),
        ran: BTreeSet::new(),
    };
    let here = [("ap-east-1", local::engine::REGION)];
    testbed.run(ON_CALL, "export AWS_REGION", &here);
    let client_settings = [("shop.json", settings.as_str())];
    testbed.run(ON_CALL, "export CLIENT_SETTINGS", &client_settings);
    testbed.run(ON_CALL, "cargo client help", &[]);
    let printed = testbed.run(ON_CALL, "aws cloudformation describe-stacks", &[]);
    assert!(printed.contains("ReconcileAt"), "{printed}");

    // A payment by hand.
    let first = "cargo client create --product native --amount-fen 100 --description \"Pot of tea\" --order-no TEA-0001";
    testbed.run("README.md", first, &[]);
    admin("pay", json!({ "order": "TEA-0001" }));
    testbed.await_output("cargo client get TEA-0001", "\"state\": \"paid\"");
    testbed.run("README.md", "cargo client get TEA-0001", &[]);
    let printed = testbed.run("README.md", "cargo client refund TEA-0001", &[]);
    assert!(printed.contains("\"state\": \"closed\""), "{printed}");
    let curl = testbed.run("README.md", "cargo client sign POST", &[]);
    if has_curl() {
        let printed = testbed.shell.run(&curl, "").expect("curl");
        assert!(printed.contains("HTTP/1.1 201"), "{printed}");
    }
    let tea = [("ORDER_NO", "TEA-0001")];
    let printed = testbed.run("notices.md", "cargo client get ORDER_NO", &tea);
    assert_eq!(answer(&printed)["order_no"], "TEA-0001");
    let printed = testbed.run("notices.md", "cargo client events ORDER_NO", &tea);
    assert!(printed.contains("\"version\": 3"), "{printed}");

    // doctor.md: the engine has no encryption, no point-in-time recovery and no topic for alarms,
    // which are warnings.
    let find = |begin: &str| format!("{begin} --stack \"$STACK\" --json || test $? -eq 3");
    let doctor = (
        "cargo client doctor --stack \"$STACK\"",
        find("cargo client doctor"),
    );
    let printed = testbed.run("doctor.md", doctor.0, &[(doctor.0, &doctor.1)]);
    let report = answer(&printed);
    let findings = report["findings"].as_array().expect("findings");
    // The simulated merchant has a number and no certificate.
    for finding in findings {
        assert_eq!(finding["severity"], "warning", "{finding:#}");
        let id = finding["id"].as_str().expect("an id");
        let of_engine = [
            "table-not-encrypted",
            "point-in-time-recovery-off",
            "alarms-tell-nobody",
            "concurrency-limit-low",
            "merchant-certificate-end-unknown",
        ];
        assert!(of_engine.contains(&id), "{finding:#}");
    }
    assert_eq!(
        report["left_out"],
        json!([]),
        "the callback was awaited, too"
    );
    // Which tools are here is another matter.
    let preflight = "cargo client preflight --stack \"$STACK\"";
    let any = format!("{preflight} --json || test $? -ge 3");
    let report = answer(&testbed.run("doctor.md", preflight, &[(preflight, &any)]));
    for finding in report["findings"].as_array().expect("findings") {
        let id = finding["id"].as_str().expect("an id");
        let of_machine = [
            "tool-missing",
            "tool-old",
            "rust-target-missing",
            "concurrency-limit-low",
        ];
        assert!(of_machine.contains(&id), "{finding:#}");
    }

    deploy::is_followed(&mut testbed, &api, &detail, &admin);
    testbed.run(ON_CALL, "export CLIENT_SETTINGS", &client_settings);

    // DEPLOY.md: the certificate by which CloudFront shows who it is.
    testbed.run("infra/DEPLOY.md", "openssl req", &[]);
    let proof = "openssl verify -purpose sslclient -CAfile edge-ca.pem edge.pem";
    let printed = testbed.shell.run(proof, "").expect("a certificate");
    assert!(printed.contains("edge.pem: OK"), "{printed}");

    // keys.md
    let mchid = detail("mchid");
    testbed.run("keys.md", "export WECHATPAY_MCHID", &[]);
    let shown = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    let apiv3_key = detail("apiv3_key");
    testbed.shell.write("apiv3-key.txt", &apiv3_key);
    testbed.shell.write("new.txt", &"n".repeat(32));
    testbed
        .shell
        .write("pub_key.pem", &detail("wechatpay_public_key"));
    testbed.shell.write("apiclient_key.pem", MERCHANT_KEY);
    let certificate = merchant_certificate(MERCHANT_KEY, &mchid, &detail("merchant_serial"));
    testbed.shell.write("apiclient_cert.pem", &certificate);
    let id = detail("wechatpay_public_key_id");
    let id = ("PUB_KEY_ID_...", id.as_str());
    // What is there already, once more: nothing is added, and nothing lost.
    let registered = "cargo client setup merchant --merchant-certificate-file";
    testbed.run("keys.md", registered, &[id]);
    let again = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    assert_eq!(
        again["merchant"]["wechat_keys"],
        shown["merchant"]["wechat_keys"]
    );
    assert_eq!(again["merchant"]["apiv3_key_versions"], json!([1]));
    // Now its end is known.
    let printed = testbed.run("keys.md", "cargo client keys status --stack", &[]);
    let ends = "ok      merchant-certificate";
    assert!(
        printed.contains(ends) && printed.contains("ends 2031-01-01"),
        "{printed}"
    );
    testbed.run("keys.md", "setup merchant --apiv3-key-file new.txt", &[]);
    testbed.run("keys.md", "export MERCHANT_SIGNING_KEY_ID", &[]);
    let name = [("NAME", "Tea")];
    testbed.run("keys.md", "cargo client keys csr --merchant-name", &name);
    let request = std::fs::read_to_string(testbed.shell.path("merchant.csr")).expect("a request");
    assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    // The stack's own key was born in KMS.
    testbed.shell.run(EXTERNAL_KEY, "").expect("a KMS key");
    let printed = testbed.run(
        "keys.md",
        "cargo client keys import --merchant-key-file",
        &[],
    );
    assert!(printed.contains("verifies"), "{printed}");
    testbed.run(
        "keys.md",
        "cargo client keys seal --merchant-key-file api",
        &[],
    );
    merchant_key::goes_to_another_place(&mut testbed, &mchid);
    let added = "PUB_KEY_ID_0000000000000000000000000000000009";
    let add = "setup add-wechat-key --wechatpay-public-key";
    testbed.run("keys.md", add, &[("PUB_KEY_ID_...", added)]);
    let both = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    assert_eq!(both["merchant"]["apiv3_key_versions"], json!([2, 1]));
    assert!(both["merchant"]["wechat_keys"].to_string().contains(added));
    testbed.run(
        "keys.md",
        "setup remove-apiv3-key --version N",
        &[("--version N", "--version 2")],
    );
    testbed.run(
        "keys.md",
        "setup remove-wechat-key --id ID",
        &[("--id ID", &format!("--id {added}"))],
    );
    testbed.run("keys.md", "cargo client setup client", &[]);
    let keyid = [("--keyid ID", "--keyid shop-1")];
    let limit = "cargo client setup limit --keyid ID --requests-per-s N";
    let to_fifty = ("--requests-per-s N", "--requests-per-s 50");
    testbed.run("keys.md", limit, &[keyid[0], to_fifty]);
    testbed.run("keys.md", "cargo client setup revoke --keyid ID", &keyid);
    // Of a client that has a key, which `setup client` registered above.
    let whose = ("WHOSE", "shop");
    let url = ("URL", "https://shop.example/hooks");
    let webhook = "cargo client setup webhook";
    testbed.run(
        "README.md",
        webhook,
        &[whose, url, ("FILE", "first.secret")],
    );
    testbed.run(
        "keys.md",
        "setup webhook --client WHOSE --new-secret",
        &[whose, ("FILE", "second.secret")],
    );
    testbed.run(
        "keys.md",
        "setup webhook --client WHOSE --url URL",
        &[whose, url],
    );
    testbed.run("webhooks.md", webhook, &[whose, url]);
    let shown = answer(&testbed.run("keys.md", "cargo client setup show", &[]));
    assert_eq!(shown["merchant"]["apiv3_key_versions"], json!([1]));
    let hook = shown["webhooks"].as_array().expect("webhooks").iter();
    let hook = hook.clone().find(|it| it["client_id"] == "shop");
    assert_eq!(hook.expect("the webhook")["secrets"], 2, "{shown}");

    // notices.md: money of another amount is parked.
    pay_wrongly(&testbed, &admin, "DOC-WRONG");
    let notice = testbed.await_notice(&simulator, "DOC-WRONG");
    let named = ("NOTICE_ID", notice.as_str());
    let printed = testbed.run("notices.md", "export WECHATPAY_MCHID", &[named]);
    assert!(printed.contains("amount differs"), "{printed}");
    testbed.run("notices.md", "export PAYMENT_RESULTS_QUEUE_URL", &[named]);
    let payment = format!("--transaction-id {}", notice.trim_start_matches("payment#"));
    testbed.run(
        "refunds.md",
        "cargo client refund ORDER_NO --amount-fen N",
        &[
            ("ORDER_NO", "DOC-WRONG"),
            ("--amount-fen N", "--amount-fen 77"),
            ("--transaction-id ID", &payment),
        ],
    );
    pay_wrongly(&testbed, &admin, "DOC-DECIDED");
    let decided = testbed.await_notice(&simulator, "DOC-DECIDED");
    let decided = [("NOTICE_ID", decided.as_str())];
    let printed = testbed.run("notices.md", "cargo client notices decide", &decided);
    assert!(printed.contains("Lin Wei decided"), "{printed}");

    // refunds.md
    let one = |order_no| [("ORDER_NO", order_no), ("REFUND_NO", "r1")];
    for (outcome, orders) in [
        ("abnormal", ["DOC-MERCHANT", "DOC-CARD"]),
        ("refused", ["DOC-RETRY", "DOC-RELEASE"]),
    ] {
        admin("refunds/outcome", json!({ "outcome": outcome }));
        for order_no in orders {
            pay(&testbed, &admin, order_no);
            let refund = format!("cargo client refund {order_no} --amount-fen 40 --refund-no r1");
            testbed.shell.run(&refund, "").expect("a refund");
        }
        for order_no in orders {
            testbed.await_refund(order_no, outcome);
        }
    }
    admin("refunds/outcome", json!({ "outcome": "success" }));
    let printed = testbed.run(
        "refunds.md",
        "cargo client refunds ORDER_NO",
        &one("DOC-RETRY"),
    );
    assert!(printed.contains("what_to_do"), "{printed}");
    testbed.run(
        "refunds.md",
        "cargo client refund-abnormal ORDER_NO REFUND_NO --to merchant",
        &one("DOC-MERCHANT"),
    );
    let card = r#"{"bank_type": "ICBC_DEBIT", "bank_account": "6222020000000000000", "real_name": "张三"}"#;
    testbed.run_with("refunds.md", "umask 077", &one("DOC-CARD"), card);
    assert!(
        !testbed.shell.path("card.json").exists(),
        "the card is deleted"
    );
    testbed.run("refunds.md", "cargo client refund-retry", &one("DOC-RETRY"));
    testbed.run(
        "refunds.md",
        "cargo client refund-release",
        &one("DOC-RELEASE"),
    );
    testbed.await_refund("DOC-RELEASE", "closed");
    // WeChat Pay has taken it.
    testbed.await_output("cargo client refund-status DOC-RETRY r1", "\"refund_id\"");

    // dead-letters.md, webhooks.md
    testbed.run("dead-letters.md", "for queue in", &[]);
    let dead = |queue: &str, body: &str| {
        let url = format!("--queue-url \"$(output {queue}DlqUrl)\"");
        format!("aws sqs send-message {url} --message-body '{body}'")
    };
    let request = dead(
        "PaymentRequests",
        r#"{"v":"issue.v1","order_no":"TEA-0001"}"#,
    );
    testbed.shell.run(&request, "").expect("a dead letter");
    let requests = [("payment-results", "payment-requests")];
    let printed = testbed.run("dead-letters.md", "cargo client redrive", &requests);
    assert!(printed.contains("\"issue.v1\": 1"), "{printed}");
    assert!(printed.contains("1 messages were moved back."), "{printed}");
    let unknown = dead("PaymentResults", "{}");
    testbed.shell.run(&unknown, "").expect("a dead letter");
    let receive = "aws sqs receive-message --queue-url \"$(output PaymentResultsDlqUrl)\"";
    let received = answer(&testbed.shell.run(receive, "").expect("a message"));
    let handle = received["Messages"][0]["ReceiptHandle"].as_str();
    let handle = format!("'{}'", handle.expect("a receipt"));
    testbed.run(
        "dead-letters.md",
        "aws sqs delete-message",
        &[("HANDLE", &handle)],
    );
    let printed = testbed.run("dead-letters.md", "aws pipes describe-pipe", &[]);
    assert_eq!(answer(&printed)["CurrentState"], "RUNNING");
    let stream = "aws dynamodbstreams describe-stream --stream-arn \"$(output OrdersStreamArn)\"";
    let stream = answer(&testbed.shell.run(stream, "").expect("a stream"));
    let shard = &stream["StreamDescription"]["Shards"][0];
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let from = text(&shard["SequenceNumberRange"]["StartingSequenceNumber"]);
    let from = format!("--sequence-number {from}");
    let printed = testbed.run(
        "dead-letters.md",
        "iterator=",
        &[
            ("SHARD", &text(&shard["ShardId"])),
            ("--sequence-number NUMBER", &from),
            tea[0],
            ("VERSION", "3"),
        ],
    );
    assert!(
        printed.contains("HTTP 202") || printed.contains("HTTP 200"),
        "{printed}"
    );
    testbed.run("webhooks.md", "logs send-webhook", &[]);
    testbed.run("webhooks.md", "cargo client redrive webhooks", &[]);
    testbed.run("webhooks.md", "cargo client webhook", &[]);
    let resend = "cargo client resend --from TIME";
    testbed.run(
        "README.md",
        resend,
        &[("TIME", "2026-08-01T12:00:00+08:00")],
    );
    testbed.run(
        "webhooks.md",
        "cargo client events ORDER_NO",
        &[tea[0], ("VERSION", "3")],
    );
    let rule = "arn:aws:events:us-east-1:000000000000:rule/wechatpay-orders/shop";
    testbed.run(
        "webhooks.md",
        "aws events start-replay",
        &[("ARN-OF-THE-CONSUMERS-RULE", rule)],
    );

    // functions.md, wechat-down.md
    let logs = "aws logs filter-log-events --log-group-name \"/aws/";
    for group in ["lambda", "vendedlogs"] {
        testbed.run("functions.md", &format!("{logs}{group}"), &[]);
    }
    testbed.run("functions.md", "aws cloudformation detect-stack-drift", &[]);
    testbed.run("reconciliation.md", "aws scheduler get-schedule", &[]);
    let printed = testbed.run("functions.md", "aws scheduler get-schedule", &[]);
    assert!(
        printed.contains("ENABLED") && printed.contains("\"claimed\""),
        "{printed}"
    );
    let printed = testbed.run(DEPLOY, "aws lambda get-alias", &[]);
    let alias = answer(&printed);
    assert_eq!(alias["Name"], "live", "{printed}");
    let version = text(&alias["FunctionVersion"]);
    let printed = testbed.run(DEPLOY, "aws lambda list-versions", &[("VERSION", &version)]);
    assert!(
        printed.contains(&format!("\"FunctionVersion\": \"{version}\"")),
        "{printed}"
    );
    let printed = testbed.run("functions.md", "logs reconcile", &[]);
    assert!(printed.contains("sweep done"), "{printed}");
    if has_curl() {
        let hosts = [
            ("https://api.mch.weixin.qq.com", simulator.as_str()),
            ("https://api2.mch.weixin.qq.com", simulator.as_str()),
        ];
        let printed = testbed.run("wechat-down.md", "curl --silent", &hosts);
        // At the beginning of a line: logs of functions come in between, and an id may end so.
        let refused = printed
            .lines()
            .filter(|line| line.starts_with("401 "))
            .count();
        assert_eq!(refused, 2, "{printed}");
    }
    // A call that fails once is counted.
    let fault = json!({
        "fault": "server_error_before", "status": 502, "times": 1, "endpoints": ["prepay_native"],
    });
    admin("faults", fault);
    create(&testbed, "DOC-FAILED");
    testbed.run("wechat-down.md", "aws cloudwatch list-metrics", &[]);
    testbed.run("keys.md", "logs receive-callback", &[]);

    // reconciliation.md
    let of_day = [("2026-08-01", day.as_str())];
    let printed = testbed.run("reconciliation.md", "export WECHATPAY_MCHID", &of_day);
    let run = printed
        .rfind("\n}")
        .map(|end| &printed[..end + 2])
        .expect("a record");
    let run = answer(run);
    assert_eq!(run["state"], "done");
    assert!(printed.contains("duplicate_payment"), "{printed}");
    let printed = testbed.run("reconciliation.md", "DAY=", &[("2026-08-01", &day)]);
    assert!(printed.contains("MessageId"), "{printed}");
    let sha1 = text(&run["bills"]["trade"]["sha1"]);
    let printed = testbed.run("reconciliation.md", "aws s3 cp", &[("<sha1>", &sha1)]);
    assert!(printed.starts_with(&sha1), "{printed}");
    testbed.run("reconciliation.md", "logs reconcile", &[]);
    let printed = testbed.run("reconciliation.md", "output Mchid", &[]);
    assert!(printed.contains(&mchid), "{printed}");

    // Money that went to the merchant: WeChat Pay has reported that, and a person records how the
    // payer was paid.
    let status = "cargo client refund-status DOC-MERCHANT r1";
    testbed.await_output(status, "\"payer_owed\": true");
    let paid = "cargo client refund-payer-paid";
    testbed.run("refunds.md", paid, &one("DOC-MERCHANT"));

    // Something that is refused, with its causes.
    let refused = shell::post(&format!("{api}/v1/callbacks/wechatpay"), "{}");
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let lines = testbed.run("error-lines.md", "for function in", &[]);
    queried_fields_are_in_the_lines(&lines);

    // callbacks.md
    let came_in = "aws logs filter-log-events --log-group-name";
    testbed.run("callbacks.md", came_in, &[]);
    testbed.run("callbacks.md", "logs receive-callback", &[]);

    // restore.md, the whole page on the stack as it stands.
    testbed.run("restore.md", "mkdir -p stopped", &[]);
    testbed.run("restore.md", "export MOMENT", &[]);
    let printed = testbed.run("restore.md", "aws dynamodb query", &tea);
    assert!(printed.contains("#TEA-0001\""), "{printed}");
    for begin in ["backup=", "aws dynamodb wait"] {
        let each = "for table in orders notices reconciliation; do\n  ";
        testbed.run("restore.md", &format!("{each}{begin}"), &[]);
    }
    testbed.run("restore.md", "for id in", &[]);
    let days = ("2026-08-01 2026-08-02", day.as_str());
    testbed.run("restore.md", "for day in", &[days]);
    testbed.run("restore.md", "for function in", &[]);
    let record = format!(
        "aws dynamodb get-item --table-name \"$STACK-reconciliation\" --output text --query Item.body.S \
         --key '{{\"pk\":{{\"S\":\"day#{mchid}#{day}\"}},\"sk\":{{\"S\":\"run\"}}}}'"
    );
    testbed.await_output(&record, &format!("restore-{day}-"));
    testbed.await_output(&record, "\"done\"");
    let printed = testbed.shell.run("cargo client get TEA-0001", "");
    assert_eq!(answer(&printed.expect("the order"))["refunded_fen"], 40);
    let again = "for table in orders notices reconciliation; do aws dynamodb delete-table";
    testbed.run("restore.md", again, &[]);

    let left = testbed.left();
    assert!(
        left.is_empty(),
        "printed and neither run nor named: {left:#?}"
    );
    assert_eq!(running.interrupt().code(), Some(0));
    std::fs::remove_dir_all(&state).expect("the state directory");
}
