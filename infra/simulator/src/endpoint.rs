//! Which of WeChat Pay's endpoints a request is for.

use http::Method;
use serde::{Deserialize, Serialize};

/// The four ways to pay that have an endpoint each. A mini program uses `Jsapi`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// Inside WeChat: official accounts and mini programs.
    Jsapi,
    /// From a mobile app.
    App,
    /// From a mobile browser outside WeChat.
    H5,
    /// A QR code that the payer scans.
    Native,
}

/// An endpoint, by the name under which requests are counted and faults are limited.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /v3/pay/transactions/jsapi`
    PrepayJsapi,
    /// `POST /v3/pay/transactions/app`
    PrepayApp,
    /// `POST /v3/pay/transactions/h5`
    PrepayH5,
    /// `POST /v3/pay/transactions/native`
    PrepayNative,
    /// `GET /v3/pay/transactions/out-trade-no/{out_trade_no}`
    QueryByOutTradeNo,
    /// `GET /v3/pay/transactions/id/{transaction_id}`
    QueryByTransactionId,
    /// `POST /v3/pay/transactions/out-trade-no/{out_trade_no}/close`
    Close,
    /// `POST /v3/refund/domestic/refunds`
    CreateRefund,
    /// `GET /v3/refund/domestic/refunds/{out_refund_no}`
    QueryRefund,
    /// `POST /v3/refund/domestic/refunds/{refund_id}/apply-abnormal-refund`
    AbnormalRefund,
    /// `GET /v3/bill/tradebill`
    TradeBill,
    /// `GET /v3/bill/fundflowbill`
    FundFlowBill,
    /// `GET /v3/billdownload/file`
    BillFile,
    /// `GET /v3/certificates`
    Certificates,
    /// `POST /v3/security/echo`
    SecurityEcho,
    /// Anything else under `/v3/`.
    Unknown,
}

/// A request's endpoint, and the number in its path where it has one.
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) number: String,
}

/// Finds the endpoint. A number in the path is percent-decoded.
pub(crate) fn find(method: &Method, path: &str) -> Route {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let get = method == Method::GET;
    let post = method == Method::POST;
    let (endpoint, number) = match segments.as_slice() {
        ["v3", "pay", "transactions", "jsapi"] if post => (Endpoint::PrepayJsapi, ""),
        ["v3", "pay", "transactions", "app"] if post => (Endpoint::PrepayApp, ""),
        ["v3", "pay", "transactions", "h5"] if post => (Endpoint::PrepayH5, ""),
        ["v3", "pay", "transactions", "native"] if post => (Endpoint::PrepayNative, ""),
        ["v3", "pay", "transactions", "out-trade-no", number] if get => {
            (Endpoint::QueryByOutTradeNo, *number)
        }
        ["v3", "pay", "transactions", "id", number] if get => {
            (Endpoint::QueryByTransactionId, *number)
        }
        ["v3", "pay", "transactions", "out-trade-no", number, "close"] if post => {
            (Endpoint::Close, *number)
        }
        ["v3", "refund", "domestic", "refunds"] if post => (Endpoint::CreateRefund, ""),
        ["v3", "refund", "domestic", "refunds", number] if get => (Endpoint::QueryRefund, *number),
        [
            "v3",
            "refund",
            "domestic",
            "refunds",
            number,
            "apply-abnormal-refund",
        ] if post => (Endpoint::AbnormalRefund, *number),
        ["v3", "bill", "tradebill"] if get => (Endpoint::TradeBill, ""),
        ["v3", "bill", "fundflowbill"] if get => (Endpoint::FundFlowBill, ""),
        ["v3", "billdownload", "file"] if get => (Endpoint::BillFile, ""),
        ["v3", "certificates"] if get => (Endpoint::Certificates, ""),
        ["v3", "security", "echo"] if post => (Endpoint::SecurityEcho, ""),
        _ => (Endpoint::Unknown, ""),
    };
    Route {
        endpoint,
        number: percent_decoded(number),
    }
}

/// The value of `name` in a query string, percent-decoded.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| percent_decoded(value))
}

/// Names of all values in a query string.
pub(crate) fn query_names(query: &str) -> impl Iterator<Item = &str> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex_value(*high).zip(hex_value(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(high << 4 | low);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_endpoint_only_by_its_method() {
        let route = find(&Method::GET, "/v3/pay/transactions/out-trade-no/A%2DB");
        assert_eq!(
            (route.endpoint, route.number.as_str()),
            (Endpoint::QueryByOutTradeNo, "A-B")
        );
        assert_eq!(
            find(&Method::POST, "/v3/pay/transactions/out-trade-no/AB").endpoint,
            Endpoint::Unknown
        );
        assert_eq!(
            find(&Method::POST, "/v3/pay/transactions/native").endpoint,
            Endpoint::PrepayNative
        );
        assert_eq!(
            find(&Method::GET, "/v3/pay//transactions/id/1").endpoint,
            Endpoint::Unknown
        );
    }

    #[test]
    fn query_values_are_decoded_and_broken_escapes_are_left_as_they_are() {
        assert_eq!(query_value("a=1&b=%E4%BD%A0", "b").as_deref(), Some("你"));
        assert_eq!(query_value("a=%2", "a").as_deref(), Some("%2"));
        assert_eq!(query_value("a=1", "c"), None);
    }
}
