//! What each endpoint does with a request whose signature is right.

mod bills;
pub(crate) mod call;
mod certificates;
mod echo;
mod notify_url;
mod prepay;
mod refunds;
pub(crate) mod transactions;

use self::call::{Reply, VerifiedCall};
use crate::{
    endpoint::{Endpoint, Product},
    refusal::Refusal,
    sim::{MutableState, Shared},
};

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
