//! `keys status`: every key with its age and its end, and no secret.

use payments::model::permissions::Permissions;
use runtime::clock::Clock;
use serde_json::Value;
use standard_webhooks::Secret;
use stores::keys_table::{KeysTable, client_keys::NewClientKey};

use super::front::Change;
use super::stage::{STACK, Stage, Stored, block_on, stage, with_fields_key};
use super::wechat::certificate;
use crate::cloud::printed;

const STATUS: [&str; 4] = ["keys", "status", "--stack", STACK];
const CLIENT_SECRET: [u8; 32] = *b"a secret of a client that nobody";
const WEBHOOK_SECRET: [u8; 32] = *b"a secret of a webhook that none ";
const NEXT_APIV3_KEY: &str = "fedcba9876543210fedcba9876543210";

/// A client with a key and a webhook, and an APIv3 key before the one in use.
fn fill(stage: &Stage) {
    let keys = stage.keys();
    block_on(async {
        keys.put_client_hmac(
            NewClientKey {
                keyid: "shop-1",
                client_id: "shop",
                permissions: &Permissions::all(),
            },
            &CLIENT_SECRET,
        )
        .await
        .unwrap();
        keys.put_client_hmac(
            NewClientKey {
                keyid: "shop-0",
                client_id: "shop",
                permissions: &Permissions::all(),
            },
            &CLIENT_SECRET,
        )
        .await
        .unwrap();
        keys.revoke_client("shop-0").await.unwrap();
        webhook(&keys).await;
        let added = stores::keys_table::change::AddedApiV3Key {
            version: None,
            bytes: NEXT_APIV3_KEY.as_bytes().to_vec().into(),
        };
        let change = stores::keys_table::change::MerchantChange {
            add_apiv3: &[added],
            ..Default::default()
        };
        keys.change_merchant(&change).await.unwrap();
    });
}

async fn webhook(keys: &KeysTable) {
    let url = runtime::net::WebhookUrl::parse(
        "https://shop.example/hooks?token=t0k3n",
        runtime::net::Reach::Public,
    );
    let secret = Secret::new(&WEBHOOK_SECRET).unwrap();
    let url = url.unwrap();
    keys.put_webhook("shop", &url, &secret).await.unwrap();
}

fn empty(stage: &Stage) {
    stage.aws(
        "for pk in ['client#shop-1', 'client#shop-0', 'webhook#shop']:\n    c('dynamodb').delete_item(TableName='tea-keys', Key={'pk': {'S': pk}})",
    );
}

fn key<'a>(report: &'a Value, kind: &str, id: &str) -> &'a Value {
    let keys = report["keys"].as_array().unwrap();
    let is_it = |key: &&Value| key["kind"] == kind && key["id"].as_str().unwrap().starts_with(id);
    keys.iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("no {kind} {id}: {report:#}"))
}

fn state(key: &Value) -> &str {
    key["state"].as_str().unwrap()
}

#[test]
fn every_key_is_reported_with_its_age_its_end_and_who_signs_and_no_secret_is() {
    let stage = stage();
    fill(&stage);
    let as_text = stage.plain(&STATUS);
    let as_json = stage.plain(&[&STATUS[..], &["--json"]].concat());
    empty(&stage);
    let (said, report) = (printed(&as_text), printed(&as_json));
    assert_eq!(as_json.status.code(), Some(0), "{said}");
    assert_eq!(as_text.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&as_json.stdout).expect(&report);
    assert_eq!(report["worst"], Value::Null);

    let own = key(
        &report,
        "merchant-certificate",
        &stage.wechat.details.merchant_serial,
    );
    assert_eq!(
        (&own["days_left"], &own["age_days"]),
        (&300.into(), &0.into())
    );
    assert!(state(key(&report, "sealed-merchant-key", "")).starts_with("signs ("));
    let kms = key(&report, "merchant-private-key", "");
    assert!(state(kms).starts_with("signs nothing"), "{kms:#}");
    assert!(
        state(kms).contains("origin AWS_KMS, multi-Region"),
        "{kms:#}"
    );
    assert_eq!(state(key(&report, "apiv3-key", "2")), "the newest");
    assert_eq!(key(&report, "apiv3-key", "1")["age_days"], 0);
    let public = key(&report, "wechat-public-key", "PUB_KEY_ID_");
    assert!(state(public).starts_with("answers are asked for under it"));
    assert_eq!(public["ends"], Value::Null);
    assert!(state(key(&report, "client-key", "shop-1")).starts_with("active of shop"));
    assert!(state(key(&report, "client-key", "shop-0")).contains("revoked of shop"));
    assert_eq!(key(&report, "webhook-secret", "shop")["age_days"], 0);
    for name in ["SecretsKey", "FieldsKey", "StorageKey"] {
        let kms = key(&report, "kms-key", name);
        assert!(state(kms).contains("multi-Region, rotation on"), "{kms:#}");
        assert!(kms["made"].is_string());
    }
    assert_eq!(
        key(&report, "console-sign-in", "")["id"],
        "https://issuer.example"
    );

    // The text has a line for each of them.
    for kind in report["keys"].as_array().unwrap() {
        let line = format!(
            "ok      {} {}: ",
            kind["kind"].as_str().unwrap(),
            kind["id"].as_str().unwrap()
        );
        assert!(said.contains(&line), "{line}: {said}");
    }
    let right = Stored::right(&stage);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let base64 =
        |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let mut secrets = vec![
        right.apiv3_key.clone(),
        NEXT_APIV3_KEY.to_owned(),
        text(&CLIENT_SECRET),
        base64(&CLIENT_SECRET),
        text(&WEBHOOK_SECRET),
        base64(&WEBHOOK_SECRET),
        "t0k3n".to_owned(),
        "whsec_".to_owned(),
    ];
    let lines = right.private_key.lines();
    secrets.extend(
        lines
            .filter(|line| !line.starts_with('-'))
            .map(str::to_owned),
    );
    for secret in secrets {
        assert!(!said.contains(&secret) && !report.to_string().contains(&secret));
    }
}

/// The one key with a finding, which is of this kind.
#[track_caller]
fn is_only(stage: &Stage, changes: &[Change], kind: &str, id: &str, severity: &str) {
    let run = stage.examined(changes, 0, &STATUS);
    let keys = run.report["keys"].as_array().unwrap();
    let found: Vec<_> = keys
        .iter()
        .filter(|key| !key["finding"].is_null())
        .map(|key| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let finding = &key["finding"];
            assert!(!text(&finding["next_step"]).is_empty());
            (
                text(&key["kind"]),
                text(&finding["id"]),
                text(&finding["severity"]),
            )
        })
        .collect();
    let wanted = (kind.to_owned(), id.to_owned(), severity.to_owned());
    assert_eq!(found, [wanted], "{:#}", run.report);
    let status = if severity == "error" { 4 } else { 3 };
    assert_eq!(run.status, Some(status));
    assert_eq!(run.report["worst"], severity);
}

#[test]
fn a_key_that_is_old_or_ends_soon_is_named_with_what_to_do() {
    let stage = stage();
    let right = Stored::right(&stage);
    for (ends_in_days, id, severity) in [
        (Some(20), "merchant-certificate-ends", "warning"),
        (Some(-1), "merchant-certificate-ends", "error"),
        (None, "merchant-certificate-end-unknown", "warning"),
    ] {
        stage.store(&Stored {
            ends_in_days,
            ..right.clone()
        });
        is_only(&stage, &[], "merchant-certificate", id, severity);
    }
    stage.store(&right);
    fill(&stage);
    let long_ago = |pk: &str, place: &str, days: i64| {
        stage.aws(&format!(
            "import time\nc('dynamodb').update_item(TableName='tea-keys', Key={{'pk': {{'S': '{pk}'}}}}, \
             UpdateExpression='SET {place} = :at', \
             ExpressionAttributeValues={{':at': {{'N': str(int(time.time()) - {days} * 86400)}}}})"
        ));
    };
    let merchant = format!("merchant#{}", stage.wechat.details.mchid);
    for (pk, place, days, kind, id) in [
        (
            "client#shop-1",
            "added_at",
            366,
            "client-key",
            "client-key-old",
        ),
        (
            "webhook#shop",
            "secrets_made_at[0]",
            366,
            "webhook-secret",
            "webhook-secret-old",
        ),
        // The older of the two is kept for so long beside the newer one.
        (
            merchant.as_str(),
            "apiv3[0].added_at",
            17,
            "apiv3-key",
            "apiv3-key-kept",
        ),
    ] {
        long_ago(pk, place, days);
        is_only(&stage, &[], kind, id, "warning");
        long_ago(pk, place, 0);
    }
    // A revoked key's age matters to nobody.
    long_ago("client#shop-0", "added_at", 3000);
    let run = stage.examined(&[], 0, &STATUS);
    assert_eq!(run.status, Some(0), "{:#}", run.report);
    empty(&stage);
    stage.store(&right);
}

#[test]
fn a_kms_key_or_a_record_that_is_not_as_it_should_be_is_named() {
    let stage = stage();
    let storage = stage.output("StorageKeyId").to_owned();
    for (breaking, mending, id, severity) in [
        (
            "disable_key_rotation",
            "enable_key_rotation",
            "kms-rotation-off",
            "warning",
        ),
        ("disable_key", "enable_key", "kms-key-not-enabled", "error"),
    ] {
        stage.aws(&format!("c('kms').{breaking}(KeyId='{storage}')"));
        is_only(&stage, &[], "kms-key", id, severity);
        stage.aws(&format!("c('kms').{mending}(KeyId='{storage}')"));
    }
    // A stack in another Region was given a key in place of its own.
    let replica = stage.aws("print(c('kms').create_key()['KeyMetadata']['Arn'], end='')");
    let given = with_fields_key(&replica);
    stage.aws(&format!("c('kms').disable_key(KeyId='{replica}')"));
    let id = "kms-key-not-enabled";
    is_only(&stage, &[given], "kms-key", id, "error");
    let gone = Change::refuse(
        &["TrentService.DescribeKey", &storage],
        400,
        "NotFoundException",
    );
    is_only(&stage, &[gone], "kms-key", "kms-key-gone", "error");
    // The key that signs waits for its import; beside a sealed one it may.
    let signing = stage.output("MerchantSigningKeyId").to_owned();
    let waits = Change::replace(
        &["TrentService.DescribeKey", &signing],
        r#""KeyState": "Enabled""#,
        r#""KeyState": "PendingImport""#,
    );
    let by_kms = Change::replace(
        &["Action=DescribeStacks"],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    let run = stage.examined(std::slice::from_ref(&waits), 0, &STATUS);
    assert_eq!(run.status, Some(0), "{:#}", run.report);
    let id = "merchant-key-not-imported";
    is_only(
        &stage,
        &[waits, by_kms],
        "merchant-private-key",
        id,
        "error",
    );
    stage.aws(
        "table = c('dynamodb')\nfor item in table.scan(TableName='tea-keys')['Items']:\n    table.delete_item(TableName='tea-keys', Key={'pk': item['pk']})",
    );
    is_only(&stage, &[], "merchant", "merchant-not-set-up", "error");
    stage.store(&Stored::right(&stage));
}

#[test]
fn a_secret_of_more_than_a_year_is_named() {
    let stage = stage();
    let made = |days: i64| {
        let at = Clock::system().now().0 - days * 86_400;
        stage.change_record(
            "SET apiv3[0].added_at = :at",
            &format!("{{':at': {{'N': '{at}'}}}}"),
        );
    };
    made(366);
    is_only(&stage, &[], "apiv3-key", "apiv3-key-old", "warning");
    made(364);
    let run = stage.examined(&[], 0, &STATUS);
    assert_eq!(run.status, Some(0), "{:#}", run.report);
    stage.store(&Stored::right(&stage));
}

#[test]
fn a_key_of_wechat_pay_s_that_is_no_key_or_was_not_refreshed_is_named() {
    let stage = stage();
    stage.change_record(
        "SET verification = list_append(verification, :more)",
        "{':more': {'L': [{'M': {'id': {'S': 'PUB_KEY_ID_02'}, 'kind': {'S': 'public_key'}, 'pem': {'S': 'no key'}}}]}}",
    );
    let id = "wechat-key-unusable";
    is_only(&stage, &[], "wechat-public-key", id, "error");
    stage.store(&Stored::right(&stage));

    let serial = format!("6B05{}", "0".repeat(36));
    let file = certificate(&stage, "refreshed", &serial, 300, None);
    stage.setup(&["add-wechat-key", "--platform-certificate", &file]);
    let fetched = |days: i64| {
        let at = Clock::system().now().0 - days * 86_400;
        stage.change_record(
            "SET certificates_fetched_at = :at",
            &format!("{{':at': {{'N': '{at}'}}}}"),
        );
    };
    fetched(1);
    let run = stage.examined(&[], 0, &STATUS);
    fetched(3);
    let id = "certificates-stale";
    is_only(&stage, &[], "platform-certificate", id, "warning");
    stage.change_record("REMOVE certificates_fetched_at", "");
    stage.store(&Stored::right(&stage));
    assert_eq!(run.status, Some(0), "{:#}", run.report);
}

#[test]
fn both_certificates_are_told_while_a_key_changes_and_what_is_left_of_it_is_named() {
    let stage = stage();
    let own = stage.wechat.details.merchant_serial.clone();
    let signing = stage.output("MerchantSigningKeyId").to_owned();
    let by_kms = Change::replace(
        &["Action=DescribeStacks"],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    // The next key's certificate is there before it signs: nothing is to be done.
    let next = "B".repeat(40);
    let named = ["--signing-key-id", signing.as_str()];
    stage.setup(&[&["merchant", "--merchant-serial", &next], &named[..]].concat());
    let run = stage.examined(&[], 0, &STATUS);
    assert_eq!(run.status, Some(0), "{:#}", run.report);
    let told_of = |serial_no: &str| key(&run.report, "merchant-certificate", serial_no);
    assert_eq!(state(told_of(&own)), "requests name it");
    let role = format!("of {signing}, which signs nothing now; its end is unknown");
    assert_eq!(state(told_of(&next)), role);

    // It signs: now the one before is left.
    stage.change_record(
        "SET signer.certificates.#k.not_before = :at, signer.certificates.#k.not_after = :at",
        &format!(
            "{{':at': {{'N': '4102444800'}}}}, ExpressionAttributeNames={{'#k': '{signing}'}}"
        ),
    );
    let left = [by_kms];
    let id = "merchant-certificate-left";
    is_only(&stage, &left, "merchant-certificate", id, "warning");
    let removal = ["--serial", &own, "--merchant-signer", "kms"];
    stage.setup(&[&["remove-merchant-certificate"], &removal[..], &named].concat());
    let run = stage.examined(&left, 0, &STATUS);
    assert_eq!(run.status, Some(0), "{:#}", run.report);

    // The change is over, and functions may still use the key before.
    let other = Change::replace(
        &["Action=DescribeStacks"],
        "<ParameterKey>OtherSigner</ParameterKey>",
        "<ParameterKey>OtherSigner</ParameterKey><ParameterValue>sealed</ParameterValue></member>\
         <member><ParameterKey>Another</ParameterKey>",
    );
    let mut permitted = left.to_vec();
    permitted.push(other);
    let id = "other-signer-unused";
    is_only(&stage, &permitted, "merchant-certificate", id, "warning");

    // As a version before this one stored it.
    stage.store(&Stored::right(&stage));
    stage.change_record("REMOVE signer.certificates", "");
    let id = "merchant-serial-missing";
    is_only(&stage, &left, "merchant-certificate", id, "warning");
    let run = stage.examined(&[], 0, &STATUS);
    assert_eq!(run.status, Some(0), "a sealed key: {:#}", run.report);
    stage.store(&Stored::right(&stage));
}

#[test]
fn a_private_key_that_is_not_there_or_that_kms_will_delete_is_named() {
    let stage = stage();
    stage.change_record("REMOVE signer.sealed, signer.sealed_at", "");
    let id = "sealed-merchant-key-missing";
    is_only(&stage, &[], "sealed-merchant-key", id, "error");
    stage.store(&Stored::right(&stage));

    let signing = stage.output("MerchantSigningKeyId").to_owned();
    let ends_in = |days: i64| {
        let at = Clock::system().now().0 + days * 86_400 + 3600;
        let ends = format!(r#""KeyState": "Enabled", "ValidTo": {at}"#);
        let asked = ["TrentService.DescribeKey", &signing];
        Change::replace(&asked, r#""KeyState": "Enabled""#, &ends)
    };
    let by_kms = Change::replace(
        &["Action=DescribeStacks"],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    let id = "merchant-key-material-ends";
    let soon = [ends_in(20), by_kms.clone()];
    is_only(&stage, &soon, "merchant-private-key", id, "warning");
    // Later, and of a key that signs nothing.
    for changes in [&[ends_in(40), by_kms][..], &[ends_in(20)]] {
        let run = stage.examined(changes, 0, &STATUS);
        assert_eq!(run.status, Some(0), "{:#}", run.report);
    }
}
