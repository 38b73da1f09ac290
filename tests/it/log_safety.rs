//! What a log, a message, an event or an answer must not have: keys, secrets, and what tells who a
//! payer is. Everything is played with values that stand nowhere else, at the most talkative
//! `LOG_LEVEL`, and with each message damaged; then all that was written is searched for them.
//!
//! A number of an order is in logs and messages, and so are the words of a callback outside of its
//! ciphertext, and the caller's own names of members in its own problem: none is a payer's.

use std::{collections::BTreeMap, time::Duration};

use message_signatures::SigningKey;
use runtime::{
    net::{Reach, WebhookUrl},
    otlp::Spans,
};
use serde_json::{Value, json};
use testbed::{APIV3_KEY, Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Damage, Endpoint, Fault, PayOptions, RefundOutcome, Rule};

use crate::{
    support::{ApiAnswer, Client, Collector, Lines, Testbed, invocation},
    webhooks::{Receiver, deliver, secret},
};

const OPENID: &str = "oLogSafety-4c1f9e-payer";
const FOREIGN_OPENID: &str = "other-appid-oLogSafety-77";
const PAYER_ID: &str = "member-of-log-safety-13800138000";
const PHONE: &str = "13912345678";
const NAME: &str = "欧阳明镜";
const ADDRESS: &str = "203.0.113.199";
const CARD: &str = "6222020200098765432";
const BANK: &str = "工商银行储蓄卡9876";

/// What nothing may show that leaves the process but sealed, or to WeChat Pay.
const PERSONAL: [(&str, &str); 8] = [
    ("an openid", OPENID),
    ("an openid of another appid", FOREIGN_OPENID),
    ("the caller's id of a payer", PAYER_ID),
    ("a phone number", PHONE),
    ("a name", NAME),
    ("a payer's address", ADDRESS),
    ("a card", CARD),
    ("the payer's bank", BANK),
];

/// Places where something was written, each with its text.
#[derive(Default)]
struct Written(Vec<(String, String)>);

impl Written {
    fn add(&mut self, place: &str, text: impl Into<String>) {
        self.0.push((place.to_owned(), text.into()));
    }

    /// What stands where it must not.
    fn shows(&self, needles: &[(String, String)]) -> Vec<String> {
        let mut found = Vec::new();
        for (place, text) in &self.0 {
            for (what, needle) in needles {
                // JSON may write what is not ASCII by its numbers.
                let escaped = escaped(needle);
                if text.contains(needle) || text.contains(&escaped) {
                    found.push(format!("{what} in {place}: {text}"));
                }
            }
        }
        found
    }
}

fn escaped(text: &str) -> String {
    let units = text.encode_utf16();
    let characters = units.map(|unit| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
        _ => format!("\\u{unit:04x}"),
    });
    characters.collect()
}

/// Keys and secrets, in each form in which one could be written.
fn secrets() -> Vec<(String, String)> {
    let webhook = secret(7);
    let merchant_key = testbed::sealed_key().private_pem();
    let line = merchant_key.lines().find(|line| !line.starts_with('-'));
    [
        ("the APIv3 key", APIV3_KEY.to_owned()),
        ("a webhook's secret", webhook.to_text().to_string()),
        ("the merchant's key", line.expect("a line").to_owned()),
    ]
    .map(|(what, value)| (what.to_owned(), value))
    .into()
}

fn personal() -> Vec<(String, String)> {
    let all = PERSONAL.iter();
    all.map(|(what, value)| ((*what).to_owned(), (*value).to_owned()))
        .collect()
}

struct Play {
    testbed: Testbed,
    webhooks: send_webhook::app::App,
    receiver: Receiver,
    written: Written,
    /// Of all functions: everything runs with its spans exported.
    spans: Spans,
}

impl Play {
    fn answered(&mut self, to: &str, answer: &ApiAnswer) {
        if answer.status >= 400 {
            self.written
                .add(&format!("the problem of {to}"), answer.body.to_string());
        }
        let headers = format!("{:?}", answer.headers);
        self.written.add(&format!("the headers of {to}"), headers);
    }

    async fn recorded<T>(&self, work: impl Future<Output = T>) -> T {
        // Boxed: the whole play is deep enough.
        let recorded = self.spans.invocation(invocation("played"), Box::pin(work));
        Box::pin(recorded).await
    }

    async fn order(&mut self, body: &Value) -> ApiAnswer {
        let answer = self.recorded(self.testbed.post_order(body)).await;
        self.answered(&format!("an order {}", body["order_no"]), &answer);
        answer
    }

    async fn post(&mut self, path: &str, body: &Value) -> ApiAnswer {
        let answer = self.recorded(self.testbed.post(path, body)).await;
        self.answered(path, &answer);
        answer
    }

    async fn minutes(&mut self, count: u64) {
        for _ in 0..count {
            self.testbed.advance(Duration::from_secs(60)).await;
            self.recorded(self.testbed.work_off()).await;
            drop(self.recorded(self.testbed.try_sweep()).await);
        }
    }

    /// A callback comes, whole or damaged.
    async fn callback(&mut self, order_no: &str, damage: &Damage) {
        let signed = self
            .testbed
            .wechat
            .admin()
            .signed_callback(order_no, damage);
        let received = self.testbed.receive(signed.as_ref().expect("a paid order"));
        let answer = self.recorded(received).await;
        self.answered(&format!("a callback with {damage:?}"), &answer);
        self.recorded(self.testbed.work_off()).await;
    }

    async fn all(&mut self) {
        self.orders().await;
        self.refused_orders().await;
        self.failing_calls().await;
        self.callbacks().await;
        self.refunds().await;
        self.webhooks().await;
    }

    async fn orders(&mut self) {
        for (nth, product) in ["jsapi", "mini_program", "native", "app", "h5"]
            .into_iter()
            .enumerate()
        {
            let made = self.order(&named(&format!("SAFE-{nth}"), product)).await;
            assert_eq!(made.status, 201, "{product}: {made:?}");
            // The same button twice, and the same number with something else in it.
            self.order(&named(&format!("SAFE-{nth}"), product)).await;
            let mut other = named(&format!("SAFE-{nth}"), product);
            other["amount_fen"] = json!(101);
            let conflict = self.order(&other).await.status;
            assert!((400..500).contains(&conflict), "{product}: {conflict}");
        }
        let read = self.recorded(self.testbed.get_order("SAFE-0")).await;
        self.answered("a read", &read);
    }

    /// Personal values in the wrong place, and in a request that is no request.
    async fn refused_orders(&mut self) {
        let person = format!("{NAME} {PHONE}");
        for (nth, wrong) in [
            json!({"openid": [OPENID]}),
            json!({"openid": format!("{OPENID}{}", "x".repeat(200))}),
            json!({"openid": format!("{OPENID} {NAME}")}),
            json!({"amount_fen": person}),
            json!({"product": person}),
            json!({"description": format!("{person}{}", "x".repeat(200))}),
            json!({"attach": {"to": person}}),
            json!({"payer_client_ip": ADDRESS}),
            json!({"payer_id": format!("{PAYER_ID}{}", "x".repeat(200))}),
            json!({"appid": person}),
            json!({"expires_in_s": person}),
            json!({"order_no": person}),
        ]
        .iter()
        .enumerate()
        {
            let mut body = named(&format!("WRONG-{nth}"), "jsapi");
            let members = wrong.as_object().expect("members").clone();
            body.as_object_mut().expect("an object").extend(members);
            let answer = self.order(&body).await;
            assert!((400..500).contains(&answer.status), "{wrong}: {answer:?}");
        }
        // WeChat Pay refuses what our rules let pass, and says why in its own words.
        let mut foreign = named("FOREIGN-1", "jsapi");
        foreign["openid"] = json!(FOREIGN_OPENID);
        let answer = self.order(&foreign).await;
        assert!(answer.status >= 400, "{answer:?}");
        // A signature over something else, of a client that does not exist.
        let strange = Client::with_key(
            "nobody-1",
            SigningKey::from_secret(&[7; 32]).expect("a key"),
        );
        let request = strange.post("/v1/orders", &named("STRANGE-1", "jsapi"), &self.testbed);
        let answer = self.recorded(self.testbed.send(request)).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        self.answered("a stranger's order", &answer);
    }

    /// WeChat Pay and AWS fail at each call of an order.
    async fn failing_calls(&mut self) {
        let faults = [
            Fault::Refuse {
                status: 403,
                code: "NO_AUTH".to_owned(),
            },
            Fault::Refuse {
                status: 400,
                code: "PARAM_ERROR".to_owned(),
            },
            Fault::TooManyRequests,
            Fault::ServerErrorBefore { status: 500 },
            Fault::ServerErrorAfter { status: 502 },
            Fault::ResetBefore,
            Fault::ProbeResponse,
            Fault::AlteredAnswer {
                patch: json!({"prepay_id": [OPENID], "payer": NAME}),
            },
            Fault::AlteredAnswer {
                patch: json!(OPENID),
            },
        ];
        for (nth, fault) in faults.into_iter().enumerate() {
            let admin = self.testbed.wechat.admin();
            let rule = admin.add_fault(Rule::always(fault).at(Endpoint::PrepayJsapi));
            let rule = rule.expect("a fault");
            let body = named(&format!("FAIL-{nth}"), "jsapi");
            self.order(&body).await;
            self.testbed.wechat.admin().clear_faults(Some(rule));
            self.minutes(2).await;
        }
        for (service, operation) in [
            (Service::DynamoDb, "PutItem"),
            (Service::DynamoDb, "UpdateItem"),
            (Service::Kms, "GenerateDataKey"),
            (Service::Kms, "Sign"),
            (Service::Sqs, "SendMessage"),
        ] {
            for fault in [
                AwsFault::Throttled,
                AwsFault::Denied,
                AwsFault::ServiceFault,
            ] {
                let which = Match::operation(service, operation);
                self.testbed.wire.break_all(which, fault);
                let order = format!("AWS-{operation}-{fault:?}");
                self.order(&named(&order, "jsapi")).await;
                self.testbed.wire.mend();
                self.minutes(1).await;
            }
        }
    }

    async fn callbacks(&mut self) {
        let person =
            json!({"payer": {"openid": OPENID, "name": NAME}, "attach": PHONE, "bank_type": BANK});
        for (nth, damage) in [
            Damage::None,
            Damage::WrongSignature,
            Damage::Stale(3600),
            Damage::UnknownSerial,
            Damage::Probe,
            Damage::CutCiphertext,
            Damage::ForeignApiv3Key,
            Damage::LongNonce,
            Damage::Altered(person.clone()),
            Damage::Altered(json!({"trade_state": person, "amount": NAME})),
            Damage::Altered(json!({"mchid": PHONE})),
            Damage::Altered(json!({"appid": OPENID})),
            Damage::Altered(json!(NAME)),
            Damage::Altered(json!({"transaction_id": [OPENID]})),
            Damage::AlteredEnvelope(json!({"resource": null})),
            Damage::ForgedTag(json!({"payer": {"openid": OPENID}})),
        ]
        .iter()
        .enumerate()
        {
            let order_no = format!("TOLD-{nth}");
            self.order(&named(&order_no, "jsapi")).await;
            let admin = self.testbed.wechat.admin();
            let lost = admin.add_fault(Rule::always(Fault::LostCallback));
            admin
                .pay(&order_no, &PayOptions::default())
                .expect("a payment");
            self.testbed.deliver().await;
            admin.clear_faults(Some(lost.expect("a fault")));
            self.callback(&order_no, damage).await;
        }
        self.minutes(3).await;
    }

    async fn refunds(&mut self) {
        let admin = self.testbed.wechat.admin();
        admin.set_refund_outcome(RefundOutcome::Abnormal);
        let reason = json!({"refund_no": "R-1", "amount_fen": 40, "reason": "为了试验"});
        let answer = self.post("/v1/orders/TOLD-0/refunds", &reason).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.minutes(3).await;
        self.testbed
            .wechat
            .admin()
            .set_refund_outcome(RefundOutcome::Success);
        let path = "/v1/orders/TOLD-0/refunds/R-1/abnormal";
        for card in [
            json!({"to": "user", "bank_account": CARD, "real_name": NAME, "who": "li", "why": "so"}),
            json!({"to": "user", "bank_type": "ICBC_DEBIT", "bank_account": [CARD], "real_name": NAME, "who": "li", "why": "so"}),
            json!({"to": CARD, "bank_account": CARD, "real_name": {"of": NAME}, "who": "li", "why": "so"}),
        ] {
            let answer = self.post(path, &card).await;
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
        let card = json!({
            "to": "user", "bank_type": "ICBC_DEBIT", "bank_account": CARD, "real_name": NAME,
            "who": "li", "why": "the payer named another card",
        });
        let answer = self.post(path, &card).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        self.minutes(3).await;
        let read = self.testbed.get_refund("TOLD-0", "R-1").await;
        assert_eq!(read.body["state"], "succeeded", "{read:?}");
        self.written.add("a refund", read.body.to_string());
    }

    /// Each event goes to its receiver, whose answers are not to be trusted either.
    async fn webhooks(&mut self) {
        let url = WebhookUrl::parse(&self.receiver.url(), Reach::PublicAndLoopback);
        let (url, secret) = (url.expect("a URL"), secret(7));
        let set_up = self.testbed.keys.put_webhook("shop", &url, &secret).await;
        set_up.expect("a webhook");
        for event in self.testbed.journal("TOLD-0").await {
            let path = format!("/v1/orders/TOLD-0/events/{}/replay", event.version);
            let answer = self.post(&path, &json!({})).await;
            assert_eq!(answer.status, 202, "{answer:?}");
        }
        let events = self.testbed.webhooks().await;
        assert!(!events.is_empty(), "there is something to bring");
        for event in events {
            self.written.add("an event", event.to_string());
            let delivered = deliver(&self.webhooks, &self.testbed.clock, &event);
            self.recorded(delivered).await;
        }
        for got in self.receiver.got() {
            self.written.add("a webhook", got.json().to_string());
        }
    }
}

/// An order of a named payer, with all that may tell who that is.
fn named(order_no: &str, product: &str) -> Value {
    let mut body = json!({
        "order_no": order_no, "product": product, "amount_fen": 100, "description": "Tea",
        "payer_id": format!("{PAYER_ID}-{order_no}"),
    });
    match product {
        "jsapi" | "mini_program" => body["openid"] = json!(OPENID),
        "h5" => {
            body["payer_client_ip"] = json!(ADDRESS);
            body["h5_type"] = json!("Wap");
        }
        _ => {}
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_no_message_no_event_and_no_answer_shows_a_secret_or_who_a_payer_is() {
    let testbed = Testbed::start().await;
    let webhooks = testbed.send_webhook();
    let lines = Lines::at_trace(testbed.clock.clone());
    let collector = Collector::start().await;
    let mut play = Play {
        spans: collector.spans_of("all", &testbed.clock),
        testbed,
        webhooks,
        receiver: Receiver::start().await,
        written: Written::default(),
    };
    Box::pin(lines.of(play.all())).await;

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines.take_all() {
        let level = line["level"].as_str().expect("a level");
        *counts.entry(level_of(level)).or_default() += 1;
        play.written.add("a log line", line.to_string());
    }
    for level in ["DEBUG", "INFO", "WARN", "ERROR"] {
        assert!(counts.contains_key(level), "no line at {level}: {counts:?}");
    }
    let messages = play.testbed.all_messages();
    assert!(messages.len() > 20, "{}", messages.len());
    for (queue, body) in messages {
        play.written.add(&format!("a message in {queue}"), body);
    }
    // Whatever the exporter sends, byte by byte. A person who sees traces sees no order either.
    let exports = collector.exports();
    assert!(exports.len() > 100, "{}", exports.len());
    for export in exports {
        let (headers, body) = (&export.headers, String::from_utf8_lossy(&export.body));
        play.written.add("spans", format!("{headers:?} {body}"));
    }
    let numbers = [
        "SAFE-", "WRONG-", "FAIL-", "AWS-Put", "TOLD-", "FOREIGN-", "STRANGE-",
    ];
    for span in collector.got() {
        let text = format!("{span:?}");
        assert!(
            !numbers.iter().any(|number| text.contains(number)),
            "{text}"
        );
    }
    for item in play.testbed.all_items().await {
        play.written.add("a table", format!("{item:?}"));
    }
    let needles: Vec<_> = secrets().into_iter().chain(personal()).collect();
    let shown = play.written.shows(&needles);
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

fn level_of(level: &str) -> &'static str {
    match level {
        "TRACE" => "TRACE",
        "DEBUG" => "DEBUG",
        "INFO" => "INFO",
        "WARN" => "WARN",
        _ => "ERROR",
    }
}

#[test]
fn what_must_not_be_there_is_found_wherever_it_is() {
    let mut written = Written::default();
    written.add("a line", r#"{"name":"\u6b27\u9633\u660e\u955c"}"#);
    written.add("another", format!("it is {PHONE}"));
    written.add("a third", "nothing");
    let shown = written.shows(&personal());
    assert_eq!(shown.len(), 2, "{shown:?}");
}
