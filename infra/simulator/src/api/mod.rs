//! What each endpoint does with a request whose signature is right.

mod bills;
mod certificates;
mod echo;
mod prepay;
mod refunds;
pub(crate) mod transactions;

use serde_json::Value;

use crate::{
    bills::download::File,
    endpoint::{Endpoint, Product, Route},
    faults::Fault,
    refund::RefundOutcome,
    refusal::Refusal,
    sim::{MutableState, Shared},
};

/// A request after its signature was verified.
pub(crate) struct VerifiedCall<'a> {
    pub(crate) route: &'a Route,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
    /// The address by which the merchant called, which links in the answer begin with.
    pub(crate) base_url: &'a str,
    /// The key that the merchant names in `Wechatpay-Serial`.
    pub(crate) serial: Option<&'a str>,
    /// A fault's result for a new refund.
    pub(crate) refund_comes_to: Option<RefundOutcome>,
    /// What strikes it; bills look for theirs.
    pub(crate) faults: &'a [Fault],
}

/// A 2xx answer.
pub(crate) enum Reply {
    /// 200 with JSON.
    Json(Value),
    /// 204 with nothing.
    Nothing,
    /// 200 with a file; the only answer that is not signed.
    File(File),
}

/// Does what the endpoint does.
pub(crate) fn handle(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    match call.route.endpoint {
        Endpoint::PrepayJsapi => prepay::prepay(sim, world, Product::Jsapi, call),
        Endpoint::PrepayApp => prepay::prepay(sim, world, Product::App, call),
        Endpoint::PrepayH5 => prepay::prepay(sim, world, Product::H5, call),
        Endpoint::PrepayNative => prepay::prepay(sim, world, Product::Native, call),
        Endpoint::QueryByOutTradeNo | Endpoint::QueryByTransactionId => {
            transactions::query(sim, world, call)
        }
        Endpoint::Close => transactions::close(sim, world, call),
        Endpoint::CreateRefund => refunds::create(sim, world, call),
        Endpoint::QueryRefund => refunds::query(sim, world, call),
        Endpoint::AbnormalRefund => refunds::apply_abnormal(sim, world, call),
        Endpoint::TradeBill => bills::trade_bill(sim, world, call),
        Endpoint::FundFlowBill => bills::fund_flow_bill(sim, world, call),
        Endpoint::BillFile => bills::file(sim, world, call),
        Endpoint::Certificates => certificates::list(sim, world),
        Endpoint::SecurityEcho => echo::echo(sim, world, call),
        Endpoint::Unknown => Err(Refusal::new(
            404,
            "NOT_FOUND",
            268_435_460,
            "请求的资源不存在",
            "There is no such path and method here",
        )),
    }
}

/// Refuses a `notify_url` that WeChat Pay would refuse. Loopback addresses are fine here.
fn check_notify_url(value: &Value) -> Result<(), Refusal> {
    let Some(url) = value.pointer("/notify_url") else {
        return Ok(());
    };
    let text = url.as_str().unwrap_or_default();
    let wrong = |issue: &str| Err(Refusal::field("/notify_url", Some(url), issue));
    match text.parse::<http::Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() => {
            wrong("应为绝对URL (must be an absolute http or https URL)")
        }
        Ok(uri) if uri.query().is_some() || text.contains(['?', '#']) => {
            wrong("不允许携带参数 (must have neither query nor fragment)")
        }
        Ok(_) => Ok(()),
        Err(_) => wrong("不是URL (is not a URL)"),
    }
}
