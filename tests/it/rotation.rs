//! Every key is changed, one after the other, while orders, payments, refunds and webhooks go on:
//! no callback and no request is refused, and no event gets lost. The changes are those of
//! `infra/runbooks/keys.md`, made by what `cargo client` makes them with.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use client::{
    ApiClientKey, MerchantFiles, PlatformKey, add_client, add_platform_key, change_merchant,
    read_merchant_key,
};
use message_signatures::SigningKey;
use payments::model::permissions::Permissions;
use reconcile::RefreshOutcome;
use runtime::{
    net::{Reach, WebhookUrl},
    signer::SignWith,
};
use serde_json::{Value, json};
use stores::keys_table::{
    change::{MerchantChange, RemovedCertificate},
    client_keys::NewClientKey,
};
use testbed::{Match, RsaKey, Service};
use wechatpay_simulator::{PayOptions, SigningMode};
use zeroize::Zeroizing;

use crate::{
    documents::{MERCHANT_KEY, merchant_certificate},
    support::{Client, Lines, MCHID, Testbed, TestbedOptions, native},
    webhooks::{Receiver, deliver, secret},
};

/// The public half of [`MERCHANT_KEY`].
const MERCHANT_PUBLIC_KEY: &str =
    include_str!("../../shared/wechatpay/vectors/keys/stranger-public.pem");
const NEXT_APIV3_KEY: &str = "vutsrqponmlkjihgfedcba9876543210";
/// After this every function has read the keys table again.
const A_MINUTE: Duration = Duration::from_secs(61);

/// What logs of failed calls and refused messages carry.
const FAILURES: [&str; 6] = [
    "WechatCallsFailed",
    "MerchantRefusals",
    "AnswersUnverified",
    "CallbacksUnverified",
    "CallbacksRefused",
    "WebhooksNotTaken",
];

/// A merchant's traffic.
struct Traffic {
    testbed: Testbed,
    lines: Lines,
    folder: PathBuf,
    webhooks: send_webhook::app::App,
    receiver: Receiver,
    /// What the receiver verifies with.
    secret: u8,
    /// The key in KMS that signs.
    key_in_kms: String,
    orders: Vec<String>,
    /// The events that the receiver has.
    reported: BTreeSet<String>,
}

impl Traffic {
    async fn start() -> Self {
        let testbed = Testbed::with(TestbedOptions {
            signer: "sealed",
            by_certificate: true,
            ..TestbedOptions::default()
        })
        .await;
        let receiver = Receiver::start().await;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rotation");
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).expect("a folder");
        let traffic = Self {
            lines: Lines::by(testbed.clock.clone()),
            webhooks: testbed.send_webhook(),
            testbed,
            folder,
            receiver,
            secret: 1,
            key_in_kms: String::new(),
            orders: Vec::new(),
            reported: BTreeSet::new(),
        };
        let url = WebhookUrl::parse(&traffic.receiver.url(), Reach::PublicAndLoopback);
        let keys = &traffic.testbed.keys;
        let url = url.expect("a URL");
        let set_up = keys.put_webhook("shop", &url, &secret(1)).await;
        set_up.expect("a webhook");
        traffic
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// An order, its payment, a refund of a part, and their notices; what functions have cached
    /// stays, until the refund's callback a minute later.
    async fn flows(&mut self) {
        let lines = self.lines.clone();
        Box::pin(lines.of(self.round())).await;
        self.is_well();
    }

    async fn round(&mut self) {
        let order = format!("ORDER-{}", self.orders.len());
        let testbed = &self.testbed;
        let made = testbed.post_order(&native(&order)).await;
        assert_eq!(made.status, 201, "{order}: {made:?}");
        testbed.pay(&order).await;
        assert_eq!(testbed.work_off().await, 0, "{order}");
        assert_eq!(testbed.get_order(&order).await.body["state"], "paid");
        let refund = testbed.refund(&order, &format!("r-{order}"), 40).await;
        assert!((200..300).contains(&refund.status), "{refund:?}");
        assert_eq!(testbed.work_off().await, 0, "{order}");
        self.orders.push(order.clone());
        self.report_new().await;
        self.pass(A_MINUTE).await;
        let testbed = &self.testbed;
        let refund = testbed.get_refund(&order, &format!("r-{order}")).await;
        assert_eq!(refund.body["state"], "succeeded", "{refund:?}");
        self.report_new().await;
    }

    /// Each event of each order goes to the receiver, who verifies it.
    async fn report_new(&mut self) {
        let before = self.receiver.got().len();
        for order in &self.orders {
            for event in self.testbed.journal(order).await {
                let id = format!("{order}_{}", event.version);
                if !self.reported.insert(id) {
                    continue;
                }
                let path = format!("/v1/orders/{order}/events/{}/replay", event.version);
                let taken = self.testbed.post(&path, &json!({})).await;
                assert_eq!(taken.status, 202, "{path}: {taken:?}");
            }
        }
        for event in self.testbed.webhooks().await {
            deliver(&self.webhooks, &self.testbed.clock, &event).await;
        }
        let got = self.receiver.got();
        let now = self.testbed.clock.now();
        for webhook in &got[before..] {
            assert!(webhook.is_believed(self.secret, now), "{webhook:?}");
        }
    }

    /// Time passes, here and at WeChat Pay, with its callbacks; queues and the sweep do their work.
    async fn pass(&self, time: Duration) {
        self.testbed.advance(time).await;
        assert_eq!(self.testbed.work_off().await, 0);
        self.testbed.sweep().await;
        assert_eq!(self.testbed.work_off().await, 0);
        self.testbed.deliver().await;
        assert_eq!(self.testbed.work_off().await, 0);
    }

    /// The same while functions do other things than traffic.
    async fn passes(&self, time: Duration) {
        Box::pin(self.lines.of(self.pass(time))).await;
        self.is_well();
    }

    /// No callback was refused so far, and no function logged a failure.
    fn is_well(&self) {
        for callback in self.testbed.wechat.admin().callbacks() {
            for one in &callback.tries {
                assert!(one.is_success(), "{}: {one:?}", callback.about);
            }
        }
        for line in self.lines.take_all() {
            let is_failure = FAILURES.iter().any(|name| !line[name].is_null());
            assert!(!is_failure && line["level"] != "ERROR", "{line:#}");
        }
    }

    /// The number of a key that is to sign: of one in KMS alone, of a sealed one with the key.
    async fn register(&self, signs: &Signs, private_pem: &str, serial_no: &str) {
        let certificate = merchant_certificate(private_pem, MCHID, serial_no);
        let key = self.file("next_key.pem", private_pem);
        let (signing_key_id, merchant_key) = match signs {
            Signs::Kms(key_id) => (Some(key_id.clone()), None),
            Signs::Sealed => (None, Some(key)),
        };
        let files = MerchantFiles {
            merchant_certificate: Some(self.file("next_cert.pem", &certificate)),
            signing_key_id,
            merchant_key,
            ..MerchantFiles::default()
        };
        self.change(&files).await;
    }

    /// Takes out of the merchant's item what the release before this one does not know.
    async fn as_an_earlier_release_wrote_it(&self) {
        let update = self.testbed.dynamo().update_item();
        let update = update
            .table_name(&self.testbed.tables.keys)
            .key("pk", AttributeValue::S(format!("merchant#{MCHID}")))
            .update_expression("REMOVE signer.certificates, signer.certificates_written_beside");
        update.send().await.expect("a table");
    }

    async fn change(&self, files: &MerchantFiles) {
        let changed = change_merchant(&self.testbed.keys, files).await;
        changed.expect("changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_changed_under_traffic_and_nothing_is_refused_or_lost() {
    let mut traffic = Traffic::start().await;
    Box::pin(traffic.flows()).await;
    Box::pin(sealed_pair(&mut traffic)).await;
    Box::pin(into_a_new_kms_key(&mut traffic)).await;
    Box::pin(certificate(&mut traffic)).await;
    Box::pin(to_other_keys(&mut traffic)).await;
    Box::pin(apiv3_key(&mut traffic)).await;
    Box::pin(platform_certificate(&mut traffic)).await;
    Box::pin(to_the_public_key(&mut traffic)).await;
    Box::pin(client_key(&mut traffic)).await;
    Box::pin(webhook_secret(&mut traffic)).await;
    Box::pin(field_keys(&mut traffic)).await;
    Box::pin(traffic.flows()).await;

    // Every event of every order was delivered.
    let delivered: BTreeSet<String> = traffic
        .receiver
        .got()
        .iter()
        .map(|got| got.id().to_owned())
        .collect();
    let mut events = BTreeSet::new();
    for order in &traffic.orders {
        let journal = traffic.testbed.journal(order).await;
        events.extend(journal.iter().map(|it| format!("{order}_{}", it.version)));
    }
    assert_eq!(delivered, events);
    assert!(traffic.testbed.notices().await.iter().all(|notice| {
        let status = notice.get("status").map(String::as_str);
        status != Some("parked") && status != Some("pending")
    }));
    assert_eq!(traffic.testbed.dead_letters().await, [[""; 0]; 2]);
}

/// A new pair in place of the sealed one, by `keys seal`.
async fn sealed_pair(traffic: &mut Traffic) {
    let (old, new) = (
        traffic.testbed.wechat.details.merchant_serial.clone(),
        "B".repeat(40),
    );
    let admin = traffic.testbed.wechat.admin().clone();
    let added = admin.add_merchant_certificate(&new, MERCHANT_PUBLIC_KEY);
    added.expect("a second certificate");
    Box::pin(traffic.flows()).await;
    let pair = MerchantFiles {
        merchant_key: Some(traffic.file("apiclient_key.pem", MERCHANT_KEY)),
        merchant_certificate: Some(traffic.file(
            "apiclient_cert.pem",
            &merchant_certificate(MERCHANT_KEY, MCHID, &new),
        )),
        ..MerchantFiles::default()
    };
    traffic.change(&pair).await;
    Box::pin(traffic.flows()).await;
    let revoked = admin.revoke_merchant_certificate(&old);
    revoked.expect("the old one is revoked");
    Box::pin(traffic.flows()).await;
}

/// The sealed pair goes into a new KMS key, and the functions sign with that, one after the other:
/// one certificate stands for both.
async fn into_a_new_kms_key(traffic: &mut Traffic) {
    let key = read_merchant_key(&traffic.file("apiclient_key.pem", MERCHANT_KEY));
    let key = key.expect("a key");
    // The import itself is proved in the client's tests, against an engine that unwraps.
    let key_id = traffic.testbed.import_signing_key(key.pkcs8_der());
    let serial_no = "B".repeat(40);
    traffic
        .register(&Signs::in_kms(&key_id), MERCHANT_KEY, &serial_no)
        .await;
    Box::pin(switch(traffic, &Signs::in_kms(&key_id))).await;
    traffic.key_in_kms = key_id;
}

/// A signer, as the settings name it.
#[derive(Clone)]
enum Signs {
    Kms(String),
    Sealed,
}

impl Signs {
    fn in_kms(key_id: &str) -> Self {
        Self::Kms(key_id.to_owned())
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Kms(key_id) => vec![
                ("MERCHANT_SIGNER", "kms"),
                ("MERCHANT_SIGNING_KEY_ID", key_id.as_str()),
            ],
            Self::Sealed => vec![("MERCHANT_SIGNER", "sealed")],
        }
    }

    fn setting(&self) -> SignWith {
        match self {
            Self::Kms(key_id) => SignWith::Kms {
                key_id: key_id.clone(),
            },
            Self::Sealed => SignWith::Sealed,
        }
    }
}

/// A gradual deployment: functions of both settings work side by side, whichever of them clients'
/// requests meet and whichever the queues, until one alone is left. It is taken back once.
async fn switch(traffic: &mut Traffic, next: &Signs) {
    let mut other = traffic.testbed.next_version(&next.settings());
    traffic.testbed.let_requests_in(&mut other);
    Box::pin(traffic.flows()).await;
    traffic.testbed.let_work_in(&mut other);
    Box::pin(traffic.flows()).await;
    traffic.testbed.let_requests_in(&mut other);
    Box::pin(traffic.flows()).await;
    traffic.testbed.let_work_in(&mut other);
    Box::pin(traffic.flows()).await;
    traffic.testbed.let_requests_in(&mut other);
    traffic.testbed.let_work_in(&mut other);
    Box::pin(traffic.flows()).await;
}

/// From a key in KMS to another one, to a sealed key, and to a third in KMS. Each has a pair and a
/// certificate of its own, which is registered while the one before signs, and the one before is
/// taken out and revoked when it signs nowhere.
async fn to_other_keys(traffic: &mut Traffic) {
    let first = traffic.key_in_kms.clone();
    // The item as the release before this one left it: it knew one number for all keys.
    traffic.as_an_earlier_release_wrote_it().await;
    Box::pin(traffic.flows()).await;
    let (second, third) = (RsaKey::generate(), RsaKey::generate());
    let in_kms = [&second, &third].map(|key| traffic.testbed.import_signing_key(&key.pkcs8()));
    let sealed = RsaKey::generate();
    let mut before = (Signs::Kms(first), "C".repeat(40));
    for (signs, key, serial_no) in [
        (Signs::in_kms(&in_kms[0]), &second, "D".repeat(40)),
        (Signs::Sealed, &sealed, "E".repeat(40)),
        (Signs::in_kms(&in_kms[1]), &third, "F".repeat(40)),
    ] {
        let admin = traffic.testbed.wechat.admin().clone();
        let added = admin.add_merchant_certificate(&serial_no, &key.public_pem());
        added.expect("one more certificate");
        traffic
            .register(&signs, &key.private_pem(), &serial_no)
            .await;
        Box::pin(traffic.flows()).await;
        Box::pin(switch(traffic, &signs)).await;
        let removal = MerchantChange {
            remove_certificate: Some(RemovedCertificate {
                serial_no: &before.1,
                signs: &signs.setting(),
            }),
            ..MerchantChange::default()
        };
        let removed = traffic.testbed.keys.change_merchant(&removal).await;
        removed.expect("the one before signs nowhere");
        Box::pin(traffic.flows()).await;
        let revoked = admin.revoke_merchant_certificate(&before.1);
        revoked.expect("the old one is revoked");
        Box::pin(traffic.flows()).await;
        let keys = traffic.testbed.keys.merchant().await.expect("keys");
        let left = keys.certificates.own(&before.0.setting());
        assert_eq!(left, None, "nothing is left of the key before");
        // The release before this one names the certificate of the key that signs, too.
        let of_earlier = keys.certificates.of_earlier_versions();
        assert_eq!(of_earlier, keys.certificates.own(&signs.setting()));
        before = (signs, serial_no);
    }
}

/// A new certificate of the key in KMS, by `setup merchant`.
async fn certificate(traffic: &mut Traffic) {
    let (old, new) = ("B".repeat(40), "C".repeat(40));
    let admin = traffic.testbed.wechat.admin().clone();
    let added = admin.add_merchant_certificate(&new, MERCHANT_PUBLIC_KEY);
    added.expect("one more certificate");
    Box::pin(traffic.flows()).await;
    let renewed = MerchantFiles {
        merchant_certificate: Some(traffic.file(
            "apiclient_cert.pem",
            &merchant_certificate(MERCHANT_KEY, MCHID, &new),
        )),
        signing_key_id: Some(traffic.key_in_kms.clone()),
        removes_sealed_key: true,
        ..MerchantFiles::default()
    };
    traffic.change(&renewed).await;
    Box::pin(traffic.flows()).await;
    let revoked = admin.revoke_merchant_certificate(&old);
    revoked.expect("the old one is revoked");
    Box::pin(traffic.flows()).await;
    let keys = traffic.testbed.keys.merchant().await.expect("keys");
    let signs = Signs::in_kms(&traffic.key_in_kms).setting();
    let certificate = keys.certificate(&signs).expect("stored");
    assert_eq!(certificate.serial_no, new);
    assert!(certificate.validity.is_some(), "its end is known");
}

/// The new APIv3 key is here before the merchant platform has it.
async fn apiv3_key(traffic: &mut Traffic) {
    let new = MerchantFiles {
        apiv3_key: Some(traffic.file("new.txt", NEXT_APIV3_KEY)),
        ..MerchantFiles::default()
    };
    traffic.change(&new).await;
    Box::pin(traffic.flows()).await;
    let admin = traffic.testbed.wechat.admin().clone();
    admin.set_apiv3_key(NEXT_APIV3_KEY).expect("a key");
    Box::pin(traffic.flows()).await;
    traffic.passes(Duration::from_secs(86_400)).await;
    let removal = MerchantChange {
        remove_apiv3: Some(1),
        ..MerchantChange::default()
    };
    let removed = traffic.testbed.keys.change_merchant(&removal).await;
    removed.expect("the old one is taken out");
    Box::pin(traffic.flows()).await;
}

/// `reconcile` fetches the new certificate before WeChat Pay signs with it.
async fn platform_certificate(traffic: &mut Traffic) {
    let testbed = &traffic.testbed;
    testbed.certificates().await;
    testbed.advance(Duration::from_secs(12 * 3600)).await;
    let admin = testbed.wechat.admin();
    let new = admin.rotate(SigningMode::Certificate).expect("a key");
    assert_eq!(testbed.certificates().await, RefreshOutcome::Changed);
    testbed.advance(A_MINUTE).await;
    Box::pin(traffic.flows()).await;
    let keys = traffic.testbed.keys.merchant().await.expect("keys");
    assert_eq!(keys.response_serial, new);
    assert_eq!(keys.entries.len(), 2, "the old one stays");
}

/// WeChat Pay's public key stands beside the certificates, first for callbacks, then for answers;
/// then the certificates go.
async fn to_the_public_key(traffic: &mut Traffic) {
    let admin = traffic.testbed.wechat.admin().clone();
    let (id, pem) = admin.newest_key(SigningMode::PublicKey).expect("a key");
    let file = traffic.file("pub_key.pem", &pem);
    let key = PlatformKey::PublicKey { id, file };
    let certificates: Vec<String> = {
        let keys = traffic.testbed.keys.merchant().await.expect("keys");
        keys.entries.iter().map(|entry| entry.id.clone()).collect()
    };
    for signs_answers in [false, true] {
        let added = add_platform_key(&traffic.testbed.keys, &key, signs_answers).await;
        added.expect("added");
        Box::pin(traffic.flows()).await;
    }
    admin.set_signing_mode(SigningMode::PublicKey);
    Box::pin(traffic.flows()).await;
    for id in &certificates {
        let removal = MerchantChange {
            remove_verification: Some(id),
            ..MerchantChange::default()
        };
        let removed = traffic.testbed.keys.change_merchant(&removal).await;
        removed.expect("the move is over");
        Box::pin(traffic.flows()).await;
    }
}

/// The client has a second key, moves over, and the first is revoked.
async fn client_key(traffic: &mut Traffic) {
    let new = [9; 32];
    let key = ApiClientKey::Secret(Zeroizing::new(new));
    let of = NewClientKey {
        keyid: "shop-2",
        client_id: "shop",
        permissions: &Permissions::all(),
    };
    let added = add_client(&traffic.testbed.keys, of, &key).await;
    added.expect("registered");
    Box::pin(traffic.flows()).await;
    let moved = Client::with_key("shop-2", SigningKey::from_secret(&new).expect("a key"));
    let old = std::mem::replace(&mut traffic.testbed.client, moved);
    Box::pin(traffic.flows()).await;
    let revoked = traffic.testbed.keys.revoke_client(&old.keyid).await;
    revoked.expect("revoked");
    Box::pin(traffic.flows()).await;
    let request = old.get("/v1/orders/ORDER-0", &traffic.testbed);
    assert_eq!(traffic.testbed.send(request).await.status, 401);
}

/// Both secrets sign, until the receiver has moved over and one more was made.
async fn webhook_secret(traffic: &mut Traffic) {
    for byte in [2, 3] {
        let keys = &traffic.testbed.keys;
        let made = keys.change_webhook("shop", None, Some(&secret(byte))).await;
        made.expect("a new secret");
        Box::pin(traffic.flows()).await;
        traffic.secret = byte;
        Box::pin(traffic.flows()).await;
    }
}

/// Data keys are replaced after an hour, and KMS rotates the keys under which they, and all secrets
/// of the keys table, are sealed. What was sealed before still opens, also in functions that have
/// nothing cached.
async fn field_keys(traffic: &mut Traffic) {
    let made = Match::operation(Service::Kms, "GenerateDataKey");
    let put_off = async |traffic: &Traffic, order: &str| -> usize {
        let testbed = &traffic.testbed;
        let before = testbed.wire.count(&made);
        let headers = [("prefer", "respond-async")];
        let request = testbed
            .client
            .post_with("/v1/orders", &native(order), &headers, testbed);
        let taken = traffic.lines.of(testbed.send(request)).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        testbed.wire.count(&made) - before
    };
    put_off(traffic, "SEALED-1").await;
    traffic.testbed.rotate_kms_keys();
    let mut fresh = traffic.testbed.next_version(&[]);
    traffic.testbed.let_requests_in(&mut fresh);
    traffic.testbed.let_work_in(&mut fresh);
    traffic.testbed.advance(Duration::from_secs(3_700)).await;
    let new_keys = put_off(traffic, "SEALED-2").await;
    assert_eq!(new_keys, 1, "a new data key");
    let worked = traffic.lines.of(traffic.testbed.work_off()).await;
    assert_eq!(worked, 0);
    for order in ["SEALED-1", "SEALED-2"] {
        let shown = traffic.testbed.get_order(order).await;
        let is_ready: &Value = &shown.body["state"];
        assert_eq!(is_ready, "awaiting_payment", "{shown:?}");
        let admin = traffic.testbed.wechat.admin().clone();
        admin.pay(order, &PayOptions::default()).expect("payable");
        traffic.orders.push(order.to_owned());
    }
    traffic.passes(A_MINUTE).await;
    for order in ["SEALED-1", "SEALED-2"] {
        let shown = traffic.testbed.get_order(order).await;
        assert_eq!(shown.body["state"], "paid", "{shown:?}");
    }
}
