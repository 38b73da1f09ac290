use super::*;
use crate::CallFailure;

#[test]
fn codes_are_read_whatever_their_underscores_and_case() {
    for raw in [
        "ORDER_NOT_EXIST",
        "ORDERNOTEXIST",
        "order_not_exist",
        "ORDER_NOTEXIST",
    ] {
        assert_eq!(ErrorCode::parse(raw), ErrorCode::OrderNotExist, "{raw}");
    }
    for raw in [
        "FREQUENCY_LIMITED",
        "FREQUENCY_LIMIT_EXCEED",
        "RATELIMIT_EXCEEDED",
        "RATE_LIMITED",
        "FREQENCY_LIMIT",
    ] {
        assert_eq!(ErrorCode::parse(raw), ErrorCode::FrequencyLimited, "{raw}");
    }
    assert_eq!(
        ErrorCode::parse("A_NEW_ONE"),
        ErrorCode::Unknown("A_NEW_ONE".to_owned())
    );
}

/// Section by section, the manual's error tables (pages 4012791856, 4012791859, 4012791860,
/// 4012791862, 4012716434, 4013421222), spelled as there.
#[test]
fn every_code_of_the_manual_says_whose_matter_it_is_and_whether_to_repeat() {
    use Repeat::{AfterChange, AfterQuery, AfterReview, AfterTopUp, Later, Never, WithBackoff};
    use Side::{Merchant, Passing, Request, Unknown};
    let table = [
        ("SYSTEM_ERROR", Passing, WithBackoff),
        ("SYSTEMERROR", Passing, WithBackoff),
        ("BANK_ERROR", Passing, WithBackoff),
        ("SERVICE_UNAVAILABLE", Passing, WithBackoff),
        ("BIZ_ERR_NEED_RETRY", Passing, WithBackoff),
        ("FREQUENCY_LIMITED", Passing, Later),
        ("PARAM_ERROR", Request, AfterChange),
        ("INVALID_REQUEST", Request, AfterQuery),
        ("SIGN_ERROR", Merchant, AfterChange),
        ("NO_AUTH", Merchant, AfterChange),
        ("NOAUTH", Merchant, AfterChange),
        ("REQUEST_BLOCKED", Merchant, AfterChange),
        ("RULE_LIMIT", Passing, AfterReview),
        ("RULELIMIT", Passing, AfterReview),
        ("TRADE_ERROR", Request, AfterQuery),
        ("APPID_MCHID_NOT_MATCH", Merchant, AfterChange),
        ("MCH_NOT_EXISTS", Merchant, AfterChange),
        ("OPENID_MISMATCH", Request, AfterChange),
        ("ORDER_CLOSED", Request, AfterChange),
        ("ORDERPAID", Request, AfterQuery),
        ("ORDER_PAID", Request, AfterQuery),
        ("ORDER_REVERSED", Request, AfterChange),
        ("OUT_TRADE_NO_USED", Request, AfterQuery),
        ("ORDER_NOT_EXIST", Request, Later),
        ("INVALID_TRANSACTIONID", Request, AfterChange),
        ("NOT_ENOUGH", Merchant, AfterTopUp),
        ("NOTENOUGH", Merchant, AfterTopUp),
        ("ACCOUNT_ERROR", Request, Never),
        ("USER_ACCOUNT_ABNORMAL", Request, Never),
        ("RESOURCE_NOT_EXISTS", Request, AfterQuery),
        ("NOT_FOUND", Unknown, AfterChange),
        ("TRADE_OVERDUE", Request, Never),
        ("REFUND_FEE_MISMATCH", Request, AfterChange),
        ("ALREADY_EXISTS", Request, AfterQuery),
        ("NO_STATEMENT_EXIST", Request, Never),
        ("STATEMENT_CREATING", Passing, Later),
        ("USERPAYING", Passing, AfterQuery),
    ];
    for (raw, side, repeat) in &table {
        let code = ErrorCode::parse(raw);
        assert_eq!(
            (code.side(), code.repeat()),
            (Some(*side), Some(*repeat)),
            "{raw}"
        );
    }
    for code in ErrorCode::all() {
        assert!(
            table
                .iter()
                .any(|(raw, _, _)| ErrorCode::parse(raw) == code),
            "{code:?} is not in the table"
        );
    }
}

#[test]
fn an_unknown_code_is_repeated_by_its_status() {
    for (status, repeat) in [
        (400, Repeat::AfterChange),
        (404, Repeat::AfterChange),
        (429, Repeat::Later),
        (500, Repeat::WithBackoff),
        (503, Repeat::WithBackoff),
    ] {
        assert_eq!(
            Refusal::read(status, br#"{"code":"NEW"}"#).repeat(),
            repeat,
            "{status}"
        );
        assert_eq!(
            Refusal::read(status, b"<html>").repeat(),
            repeat,
            "{status}"
        );
    }
}

#[test]
fn a_refusal_that_passes_by_itself_has_no_advice_and_each_other_has_its_own() {
    let about = |status: u16, body: &str| Refusal::read(status, body.as_bytes());
    for code in ErrorCode::all() {
        let refusal = Refusal {
            code: code.clone(),
            ..about(403, "{}")
        };
        let merchants = refusal.side() == Side::Merchant;
        assert_eq!(
            ADVICE.iter().any(|(advised, _)| *advised == code),
            merchants,
            "{code:?}"
        );
        let needs_someone = merchants || refusal.side() == Side::Unknown;
        assert_eq!(refusal.what_to_do().is_some(), needs_someone, "{code:?}");
    }
    for (status, body, side) in [
        (400, r#"{"code":"A_NEW_ONE"}"#, Side::Unknown),
        (404, "<html>", Side::Unknown),
        (302, "", Side::Unknown),
        (429, r#"{"code":"A_NEW_ONE"}"#, Side::Passing),
        (502, "<html>", Side::Passing),
    ] {
        let refusal = about(status, body);
        assert_eq!(refusal.side(), side, "{status} {body}");
        assert_eq!(
            refusal.what_to_do().is_some(),
            side == Side::Unknown,
            "{status} {body}"
        );
    }
}

#[test]
fn a_wrong_value_that_comes_from_the_settings_is_the_merchants_matter() {
    for (field, side) in [
        ("/notify_url", Side::Merchant),
        ("notify_url", Side::Merchant),
        ("/body/mchid", Side::Merchant),
        ("/appid", Side::Merchant),
        ("/description", Side::Request),
        ("/payer/openid", Side::Request),
    ] {
        let body = format!(r#"{{"code":"PARAM_ERROR","detail":{{"field":"{field}"}}}}"#);
        let refusal = Refusal::read(400, body.as_bytes());
        assert_eq!(refusal.side(), side, "{field}");
        assert_eq!(
            refusal.what_to_do().is_some(),
            side == Side::Merchant,
            "{field}"
        );
    }
    let unnamed = Refusal::read(400, br#"{"code":"PARAM_ERROR"}"#);
    assert_eq!(unnamed.side(), Side::Request);
}

#[test]
fn no_refund_is_repeated_without_a_query() {
    for code in ErrorCode::all() {
        let for_refund = code.repeat().map(Repeat::for_refund);
        assert!(
            !matches!(for_refund, Some(Repeat::WithBackoff | Repeat::Later)),
            "{code:?}"
        );
    }
}

#[test]
fn the_detail_names_the_field() {
    let body = br#"{"code":"PARAM_ERROR","message":"m","detail":{"location":"body","value":1,"issue":"i","field":"/amount/currency"}}"#;
    let refusal = Refusal::read(400, body);
    assert_eq!(
        (refusal.raw_code.as_str(), refusal.message.as_str()),
        ("PARAM_ERROR", "m")
    );
    let detail = refusal.detail.expect("there is one");
    assert_eq!(detail.field.as_deref(), Some("/amount/currency"));
    assert_eq!(detail.value.as_deref(), Some("1"));
    assert_eq!(detail.issue.as_deref(), Some("i"));
    assert_eq!(detail.location.as_deref(), Some("body"));
}

#[test]
fn a_strange_body_is_still_a_refusal() {
    for body in [
        &b""[..],
        b"<html>",
        b"[]",
        b"null",
        br#"{"code":null}"#,
        br#"{"code":"","detail":[]}"#,
    ] {
        let refusal = Refusal::read(502, body);
        assert_eq!(refusal.code, ErrorCode::Unknown(String::new()));
        assert_eq!(refusal.detail, None);
    }
}

#[test]
fn a_body_of_odd_types_keeps_what_can_be_read() {
    let refusal = Refusal::read(400, br#"{"code":"PARAM_ERROR","message":7}"#);
    assert_eq!(refusal.code, ErrorCode::ParamError);
    for odd in [
        r#""detail":1e999"#,
        r#""message":"\ud800""#,
        r#""detail":[[{}]]"#,
    ] {
        let body = format!(r#"{{{odd},"code":"NOT_ENOUGH"}}"#);
        let refusal = Refusal::read(403, body.as_bytes());
        assert_eq!(refusal.code, ErrorCode::NotEnough, "{odd}");
    }
}

#[test]
fn a_refusal_says_what_to_do_and_shows_no_more_than_a_piece_of_a_strange_code() {
    let says = Refusal::read(403, br#"{"code":"NOT_ENOUGH","message":"m"}"#).to_string();
    let expected = "WeChat Pay refused with HTTP 403 NOT_ENOUGH: fill up the merchant's balance, then repeat the same request";
    assert_eq!(says, expected);
    let body = format!(r#"{{"code":"{}"}}"#, "x".repeat(10_000));
    let refusal = Refusal::read(502, body.as_bytes());
    assert!(refusal.to_string().len() < 200);
    assert!(format!("{refusal:?}").len() < 200);
}

#[test]
fn the_value_wechat_saw_is_shown_nowhere_not_even_where_a_text_quotes_it() {
    let body = br#"{"code":"PARAM_ERROR","message":"oUpF8 is wrong","detail":{"field":"/payer/openid","value":"oUpF8","issue":"oUpF8 is no openid","location":"body"}}"#;
    let refusal = Refusal::read(400, body);
    let failure = CallFailure::Refused(Box::new(refusal.clone()));
    let shown = format!("{refusal} {refusal:?} {failure} {failure:?}");
    assert!(!shown.contains("oUpF8"), "{shown}");
    assert!(shown.contains("/payer/openid"), "{shown}");
}
