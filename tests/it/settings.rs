//! Settings: a function that is set up wrongly says everything that is wrong at once, and says no
//! value.

use std::collections::BTreeMap;

macro_rules! refused {
    ($function:ident, $vars:expr) => {
        flows::sandbox::read::<$function::settings::Settings>($vars)
            .expect_err(stringify!($function))
            .to_string()
    };
}

#[test]
fn each_function_names_everything_that_is_missing_at_once() {
    let nothing = BTreeMap::<String, String>::new();
    let common = [
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "KEYS_TABLE",
        "SECRETS_KEY_ID",
        "WECHATPAY_MCHID",
    ];
    let core = [
        "NOTIFY_URL",
        "MERCHANT_SIGNER",
        "ORDERS_TABLE",
        "GUARDS_TABLE",
        "NOTICES_TABLE",
        "PAYMENT_REQUESTS_QUEUE_URL",
    ];
    for (error, shared, own) in [
        (
            refused!(create_order, &nothing),
            &core[..],
            &["WECHATPAY_APPIDS", "FIELDS_KEY_ID"][..],
        ),
        (
            refused!(manage_order, &nothing),
            &core,
            &["WEBHOOKS_QUEUE_URL", "UNDELIVERED_EVENTS_TABLE"],
        ),
        (
            refused!(receive_callback, &nothing),
            &[],
            &["GUARDS_TABLE", "PAYMENT_RESULTS_QUEUE_URL"],
        ),
        (
            refused!(process_payment, &nothing),
            &core,
            &["FIELDS_KEY_ID", "PAYMENT_RESULTS_QUEUE_URL"],
        ),
        (refused!(reconcile, &nothing), &core, &[]),
    ] {
        for name in common.iter().chain(shared).chain(own) {
            assert!(error.contains(name), "{name} is not named in: {error}");
        }
    }
}

#[test]
fn what_forwards_log_lines_names_everything_that_is_missing_and_needs_no_order() {
    let error = refused!(forward_errors, &BTreeMap::<String, String>::new());
    for name in [
        "AWS_REGION",
        "WECHATPAY_MCHID",
        "KEYS_TABLE",
        "SECRETS_KEY_ID",
        "FORWARD_ERRORS_DLQ_URL",
        "METRICS_NAMESPACE",
    ] {
        assert!(error.contains(name), "{name} is not named in: {error}");
    }
    for other in ["ORDERS_TABLE", "FIELDS_KEY_ID", "MERCHANT_SIGNER"] {
        assert!(!error.contains(other), "{error}");
    }
}

#[test]
fn the_console_names_everything_that_is_missing_and_needs_no_key() {
    let error = refused!(console, &BTreeMap::<String, String>::new());
    for name in [
        "AWS_REGION",
        "WECHATPAY_MCHID",
        "RECONCILIATION_TABLE",
        "ORDERS_TABLE",
        "NOTICES_TABLE",
        "RECONCILE_WORK_QUEUE_URL",
        "CONSOLE_AUTH",
        "METRICS_NAMESPACE",
        "API_ID",
    ] {
        assert!(error.contains(name), "{name} is not named in: {error}");
    }
    for key in ["KEYS_TABLE", "SECRETS_KEY_ID", "FIELDS_KEY_ID"] {
        assert!(!error.contains(key), "{error}");
    }
}

#[test]
fn what_is_malformed_is_named_without_its_value() {
    let mut vars: BTreeMap<String, String> = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("KEYS_TABLE", "keys"),
        ("SECRETS_KEY_ID", "key"),
        ("ORDERS_TABLE", "orders"),
        ("GUARDS_TABLE", "guards"),
        ("NOTICES_TABLE", "notices"),
        ("FIELDS_KEY_ID", "key"),
        ("PAYMENT_REQUESTS_QUEUE_URL", "https://sqs.example/q"),
        ("MERCHANT_SIGNER", "kms"),
        ("MERCHANT_SIGNING_KEY_ID", "key"),
        ("WECHATPAY_MCHID", "1900000001"),
        ("WECHATPAY_APPIDS", "wxa"),
        ("NOTIFY_URL", "https://pay.example/v1/callbacks/wechatpay"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert!(flows::sandbox::read::<create_order::settings::Settings>(&vars).is_ok());
    for (name, wrong) in [
        ("WECHATPAY_MCHID", "19-wrong"),
        ("WECHATPAY_APPIDS", "wxa,,wrong"),
        ("NOTIFY_URL", "http://pay.wrong.example/cb"),
        ("NOTIFY_URL", "https://pay.example/cb?wrong=1"),
        ("NOTIFY_URL", "https://pay.wrong.example/"),
        (
            "NOTIFY_URL",
            "https://10.0.0.7/wrong/v1/callbacks/wechatpay",
        ),
        ("WECHATPAY_BASE_URL", "https://wrong.example "),
        ("WECHATPAY_BASE_URL", "http://wrong.example"),
        ("WECHATPAY_BASE_URL", "ftp://wrong.example"),
        ("MERCHANT_SIGNER", "wrong"),
        ("WECHATPAY_CALLS_PER_S", "wrong"),
        ("WECHATPAY_CALLS_PER_S", "10001"),
        ("WECHATPAY_REFUNDS_PER_S", "20000"),
        ("MERCHANT_SIGNATURES_PER_S", "-10"),
        ("CLIENT_REQUESTS_PER_S", "no limit"),
        ("CLIENT_REQUESTS_PER_S", "20000"),
        ("PREPAY_BUDGET_MS", "wrong"),
        ("PREPAY_BUDGET_MS", "99999"),
    ] {
        let kept = vars.insert(name.to_owned(), wrong.to_owned());
        let error = refused!(create_order, &vars);
        assert!(error.contains(name), "{name} is not named in: {error}");
        assert!(!error.contains(wrong), "a value is shown: {error}");
        match kept {
            Some(value) => vars.insert(name.to_owned(), value),
            None => vars.remove(name),
        };
    }
}
