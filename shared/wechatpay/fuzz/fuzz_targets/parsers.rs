//! Gives one input to everything that reads what others wrote. Values that read are written and
//! read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wechatpay::api::SecurityEchoAnswer;
use wechatpay::wire::{
    CombinedTransaction, ProfitSharing, Refund, RefundNotice, SecurityEchoNotice, Transaction,
};
use wechatpay::{
    BillLink, Call, Certificates, Close, CreateRefund, ErrorCode, FieldKey, FundFlowBill, LocalKey,
    PrepayCall, PrepayBody, PrepayValue, QueryByOutTradeNo, RefundBody, Refusal, Sealed, SecurityEcho,
    UnixSeconds, VerificationKeys, api, time,
};

fuzz_target!(|data: &[u8]| {
    answers(data);
    shapes(data);
    if let Ok(text) = std::str::from_utf8(data) {
        texts(text);
    }
});

fn answers(data: &[u8]) {
    let _ = PrepayCall::answer(200, data);
    let _ = QueryByOutTradeNo::answer(200, data);
    let _ = Close::answer(204, data);
    let _ = CreateRefund::answer(200, data);
    let _ = Certificates::answer(200, data);
    let _ = SecurityEcho::answer(200, data);
    if let Ok(link) = FundFlowBill::answer(200, data) {
        let _ = link.download();
    }
    let refusal = Refusal::read(400, data);
    let _ = (refusal.repeat(), refusal.to_string());
}

fn shapes(data: &[u8]) {
    again::<Transaction>(data);
    again::<CombinedTransaction>(data);
    again::<ProfitSharing>(data);
    again::<Refund>(data);
    again::<RefundNotice>(data);
    again::<SecurityEchoNotice>(data);
    again::<SecurityEchoAnswer>(data);
    again::<Sealed>(data);
    again::<BillLink>(data);
    again::<PrepayValue>(data);
    again::<PrepayBody>(data);
    again::<RefundBody>(data);
    again::<api::AbnormalRefundBody>(data);
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    data: &[u8],
) {
    if let Ok(value) = serde_json::from_slice::<T>(data) {
        let text = serde_json::to_vec(&value).expect("what was read can be written");
        assert_eq!(
            serde_json::from_slice::<T>(&text).expect("what was written can be read"),
            value
        );
    }
}

fn texts(text: &str) {
    if let Ok(at) = time::parse_rfc3339(text) {
        let _ = time::beijing_day(at);
        let written = time::format_rfc3339_beijing(at);
        if (0..253_402_271_999).contains(&at.0) {
            assert_eq!(time::parse_rfc3339(&written), Ok(at));
        }
    }
    let _ = time::format_rfc3339_beijing(UnixSeconds(i64::try_from(text.len()).unwrap_or(0)));
    assert_eq!(
        ErrorCode::parse(text),
        ErrorCode::parse(&text.to_ascii_lowercase().replace('_', "")).named_as(text)
    );
    let mut keys = VerificationKeys::new();
    let _ = keys.add_certificate(text);
    let _ = keys.add_public_key("id", text);
    let _ = FieldKey::from_certificate(text);
    let _ = LocalKey::from_pkcs8_pem("serial", text);
    let path = QueryByOutTradeNo {
        mchid: "1".to_owned(),
        out_trade_no: text.to_owned(),
    }
    .outgoing()
    .path_and_query;
    assert_eq!(path.matches('/').count(), 5, "{path}");
}

/// An unknown code keeps its spelling, so two spellings of one differ.
trait NamedAs {
    fn named_as(self, raw: &str) -> Self;
}

impl NamedAs for ErrorCode {
    fn named_as(self, raw: &str) -> Self {
        if matches!(self, ErrorCode::Unknown(_)) {
            ErrorCode::Unknown(raw.to_owned())
        } else {
            self
        }
    }
}
