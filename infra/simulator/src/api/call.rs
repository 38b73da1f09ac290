//! A call of the API and its answer.

use serde_json::Value;

use crate::{bills::download::File, endpoint::Route, faults::Fault, refund::RefundOutcome};

/// A request after its signature was verified.
pub(crate) struct VerifiedCall<'a> {
    pub(crate) route: &'a Route,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
    /// The address by which the merchant called, which links in the answer begin with.
    pub(crate) base_url: &'a str,
    /// The key that the merchant names in `Wechatpay-Serial`.
    pub(crate) serial: Option<&'a str>,
    /// A fault's word on what a new refund comes to.
    pub(crate) refund_comes_to: Option<RefundOutcome>,
    /// The faults that strike it; bills find theirs here.
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
