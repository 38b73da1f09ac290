//! The merchant's record and WeChat Pay.

use serde_json::Value;
use wechatpay_simulator::{Endpoint, Fault, Rule, SigningMode, TradeState};

use super::front::Change;
use super::stage::{STACK, Stage, Stored, stage, where_roles_may};

const STRANGER: &str = include_str!("../../../../../shared/wechatpay/vectors/keys/stranger.pem");
const STRANGER_S_PUBLIC: &str =
    include_str!("../../../../../shared/wechatpay/vectors/keys/stranger-public.pem");

const PARAMETERS: &str = "Action=DescribeStacks";

/// A certificate for the merchant's key, such as `apiclient_cert.pem`, or for a new key.
pub(super) fn certificate(
    stage: &Stage,
    name: &str,
    serial: &str,
    days: i64,
    key: Option<&str>,
) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("doctor-{name}.pem"));
    let path = path.to_str().unwrap();
    let mchid = &stage.wechat.details.mchid;
    let key = match key {
        Some(pem) => format!("serialization.load_pem_private_key('''{pem}'''.encode(), None)"),
        None => "rsa.generate_private_key(65537, 2048)".to_owned(),
    };
    stage.python(&format!(
        "
import datetime
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
key = {key}
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, '{mchid}')])
now = datetime.datetime.now(datetime.timezone.utc)
made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    .serial_number(int('{serial}', 16)).not_valid_before(now - datetime.timedelta(days=400))
    .not_valid_after(now + datetime.timedelta(days={days}, hours=1)).sign(key, hashes.SHA256()))
open('{path}', 'wb').write(made.public_bytes(serialization.Encoding.PEM))
"
    ));
    path.to_owned()
}

#[test]
fn a_self_test_whose_callback_comes_leaves_no_order_and_proves_fields_both_ways() {
    let stage = stage();
    let run = stage.doctor();
    run.is_well();
    let not_proved = run.report["not_proved"].to_string();
    for said in ["KMS key signs", "not waited for"] {
        assert!(!not_proved.contains(said), "{not_proved}");
    }
    let admin = stage.wechat.admin();
    let asked = admin.requests();
    assert!(asked[&Endpoint::SecurityEcho] >= 2, "both hosts");
    let orders = admin.orders();
    assert!(!orders.is_empty());
    for order in orders {
        assert_eq!(order.trade_state, TradeState::Closed);
    }
}

#[test]
fn a_merchant_that_is_not_set_up_or_whose_keys_do_not_open_is_found() {
    let stage = stage();
    let mchid = &stage.wechat.details.mchid;
    stage.aws(&format!(
        "c('dynamodb').delete_item(TableName='tea-keys', Key={{'pk': {{'S': 'merchant#{mchid}'}}}})"
    ));
    stage.doctor().is_only("merchant-not-set-up");
    stage.store(&Stored::right(&stage));

    stage.change_record(
        "SET apiv3[0].sealed = :broken",
        "{':broken': {'B': b'broken'}}",
    );
    stage.doctor().is_only("merchant-keys-unreadable");
    stage.store(&Stored::right(&stage));

    stage.change_record(
        "SET response_serial = :other",
        "{':other': {'S': 'PUB_KEY_ID_0000000000000000000000000000'}}",
    );
    stage.doctor().is_only("wechat-key-unknown");
    stage.store(&Stored::right(&stage));

    // One entry that is no key. The others count.
    stage.change_record(
        "SET verification = list_append(verification, :more)",
        "{':more': {'L': [{'M': {'id': {'S': 'PUB_KEY_ID_02'}, 'kind': {'S': 'public_key'}, 'pem': {'S': 'no key'}}}]}}",
    );
    stage.doctor().is_only("wechat-key-unusable");
    stage.store(&Stored::right(&stage));
}

#[test]
fn a_key_in_kms_that_may_not_sign_is_found() {
    let stage = stage();
    let by_kms = Change::replace(
        &[PARAMETERS],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    let denied = Change::refuse(&["TrentService.Sign"], 400, "AccessDeniedException");
    let run = stage.doctor_where(&[by_kms, where_roles_may("kms:Sign"), denied]);
    run.is_only("request-not-signed");
}

#[test]
fn keys_that_do_not_belong_together_are_found() {
    let stage = stage();
    let right = Stored::right(&stage);
    // The merchant's number with another's private key.
    stage.store(&Stored {
        private_key: STRANGER.to_owned(),
        ..right.clone()
    });
    stage.doctor().is_only("signature-refused");
    stage.store(&Stored {
        serial: "5F0000000000000000000000000000000000A10D".to_owned(),
        ..right.clone()
    });
    stage.doctor().is_only("signature-refused");
    // Another's public key under WeChat Pay's id.
    let id = right.public_key.0.clone();
    stage.store(&Stored {
        public_key: (id, STRANGER_S_PUBLIC.to_owned()),
        ..right.clone()
    });
    stage.doctor().is_only("field-to-wechat-closed");
    stage.store(&Stored {
        apiv3_key: "00000000000000000000000000000000".to_owned(),
        ..right.clone()
    });
    let run = stage.doctor();
    run.is_only("apiv3-key-wrong");
    assert!(
        run.report["not_proved"]
            .to_string()
            .contains("not waited for")
    );
    stage.store(&right);
    stage.doctor().is_well();
}

#[test]
fn a_key_that_wechat_pay_has_replaced_is_found_until_the_new_one_is_registered() {
    let stage = stage();
    stage.wechat.admin().rotate(SigningMode::PublicKey).unwrap();
    stage.doctor().is_only("answer-unverified");
    stage.store(&Stored::right(&stage));
    stage.doctor().is_well();
}

#[test]
fn certificates_that_end_soon_are_found() {
    let stage = stage();
    for (days, severity, serial) in [(20, "warning", "6B01"), (-1, "error", "6B02")] {
        let serial = format!("{serial}000000000000000000000000000000000001");
        let file = certificate(&stage, "platform", &serial, days, None);
        stage.setup(&["add-wechat-key", "--platform-certificate", &file]);
        let run = stage.doctor();
        // Nothing was fetched yet, which hides no end.
        let status = stage.examined(&[], 0, &["keys", "status", "--stack", STACK]);
        stage.setup(&["remove-wechat-key", "--id", &serial]);
        run.is_only("platform-certificate-ends");
        let keys = status.report["keys"].as_array().unwrap();
        let is_reported = |key: &Value| key["finding"]["id"] == "platform-certificate-ends";
        assert!(keys.iter().any(is_reported), "{:#}", status.report);
        assert_eq!(run.report["findings"][0]["severity"], severity);
    }
    // The next one is there.
    let old = format!("6B03{}", "0".repeat(36));
    let new = format!("6B04{}", "0".repeat(36));
    for (serial, days) in [(&old, 20), (&new, 300)] {
        let file = certificate(&stage, "platform", serial, days, None);
        stage.setup(&["add-wechat-key", "--platform-certificate", &file]);
    }
    stage.doctor().is_well();
    stage.store(&Stored::right(&stage));

    for (ends_in_days, id, severity) in [
        (Some(20), "merchant-certificate-ends", "warning"),
        (Some(-1), "merchant-certificate-ends", "error"),
        (None, "merchant-certificate-end-unknown", "warning"),
    ] {
        stage.store(&Stored {
            ends_in_days,
            ..Stored::right(&stage)
        });
        let run = stage.doctor();
        run.is_only(id);
        assert_eq!(run.report["findings"][0]["severity"], severity);
    }
    stage.store(&Stored::right(&stage));

    let own = stage.wechat.merchant_private_key().unwrap().to_owned();
    let serial = stage.wechat.details.merchant_serial.clone();
    let other = "5F0000000000000000000000000000000000A10D";
    for (serial, days, id) in [
        (serial.as_str(), 20, Some("merchant-certificate-ends")),
        (other, 300, Some("merchant-serial-wrong")),
        (serial.as_str(), 300, None),
    ] {
        let file = certificate(&stage, "merchant", serial, days, Some(&own));
        let run = stage.doctor_with(&[], &["--merchant-certificate-file", &file]);
        match id {
            Some(id) => run.is_only(id),
            None => run.is_well(),
        }
    }
    let no_certificate = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let file = no_certificate.to_str().unwrap();
    let run = stage.doctor_with(&[], &["--merchant-certificate-file", file]);
    run.is_only("merchant-certificate-wrong");
}

#[test]
fn a_host_that_does_not_answer_is_named() {
    let stage = stage();
    let base = stage.wechat.details.base_url.clone();
    let silent = |parameter: &str| {
        Change::replace(
            &[PARAMETERS],
            &format!("<ParameterKey>{parameter}</ParameterKey><ParameterValue>{base}<"),
            &format!("<ParameterKey>{parameter}</ParameterKey><ParameterValue>http://127.0.0.1:9<"),
        )
    };
    for parameter in ["WechatpayBaseUrl", "WechatpayBackupUrl"] {
        let run = stage.doctor_where(&[silent(parameter)]);
        run.is_only("wechat-host-silent");
        assert_eq!(run.report["findings"].as_array().unwrap().len(), 1);
    }
    let run = stage.doctor_where(&[silent("WechatpayBaseUrl"), silent("WechatpayBackupUrl")]);
    run.is_only("wechat-host-silent");
    assert_eq!(run.report["findings"].as_array().unwrap().len(), 2);
}

#[test]
fn what_wechat_pay_answers_otherwise_than_it_should_is_found() {
    let stage = stage();
    let admin = stage.wechat.admin();
    let altered = |patch: serde_json::Value| Fault::AlteredAnswer { patch };
    let refused = |status: u16, code: &str| Fault::Refuse {
        status,
        code: code.to_owned(),
    };
    for (fault, endpoint, id) in [
        (
            altered(serde_json::json!({ "echo_message": "other" })),
            Endpoint::SecurityEcho,
            "echo-altered",
        ),
        (
            altered(serde_json::json!({ "encrypted_echo_message": "AAAA" })),
            Endpoint::SecurityEcho,
            "field-from-wechat-closed",
        ),
        (
            altered(serde_json::json!({ "encrypted_echo_message": null })),
            Endpoint::SecurityEcho,
            "field-from-wechat-closed",
        ),
        (
            altered(serde_json::json!("no object")),
            Endpoint::SecurityEcho,
            "echo-unreadable",
        ),
        (
            refused(403, "RULE_LIMIT"),
            Endpoint::SecurityEcho,
            "echo-refused",
        ),
        (
            refused(403, "NO_AUTH"),
            Endpoint::Certificates,
            "certificates-not-fetched",
        ),
        (
            refused(403, "NO_AUTH"),
            Endpoint::PrepayNative,
            "native-not-open",
        ),
        (
            refused(403, "RULE_LIMIT"),
            Endpoint::PrepayNative,
            "order-refused",
        ),
    ] {
        admin.add_fault(Rule::always(fault).at(endpoint)).unwrap();
        let run = stage.doctor();
        admin.clear_faults(None);
        run.is_only(id);
    }
    // A merchant without platform certificates, as every new one is.
    let none = refused(404, "RESOURCE_NOT_EXISTS");
    admin
        .add_fault(Rule::always(none).at(Endpoint::Certificates))
        .unwrap();
    let run = stage.doctor();
    admin.clear_faults(None);
    run.is_well();
}

#[test]
fn a_callback_that_does_not_arrive_is_found() {
    let stage = stage();
    stage
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::LostCallback))
        .unwrap();
    let run = stage.doctor_with(&[], &["--callback-within-s", "1"]);
    stage.wechat.admin().clear_faults(None);
    run.is_only("callback-not-arrived");

    let denied = Change::refuse(
        &["DynamoDB_20120810.GetItem", "tea-notices"],
        400,
        "AccessDeniedException",
    );
    stage.doctor_where(&[denied]).is_only("callback-not-seen");
}

#[test]
fn an_address_for_callbacks_that_wechat_pay_does_not_take_is_found_and_no_order_tried_with_it() {
    let stage = stage();
    let base = stage.receiver.base.clone();
    // More than its 255 letters.
    let long = format!("{base}/{}", "a".repeat(255));
    let before = stage.wechat.admin().orders().len();
    let run = stage.doctor_where(&[Change::replace(&[PARAMETERS], &base, &long)]);
    run.is_only("notify-url-refused");
    assert_eq!(stage.wechat.admin().orders().len(), before);
    let not_proved = run.report["not_proved"].to_string();
    assert!(not_proved.contains("with each appid"), "{not_proved}");
}

#[test]
fn an_appid_that_is_not_the_merchants_is_named() {
    let stage = stage();
    let bound = stage.wechat.details.appids.join(",");
    let foreign = Change::replace(
        &[PARAMETERS],
        &format!("<ParameterKey>Appids</ParameterKey><ParameterValue>{bound}<"),
        &format!("<ParameterKey>Appids</ParameterKey><ParameterValue>{bound},wxffffffffffffffff<"),
    );
    let run = stage.doctor_where(&[foreign]);
    run.is_only("appid-not-bound");
    let cause = run.report["findings"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("wxffffffffffffffff"), "{cause}");
}
