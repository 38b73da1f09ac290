//! Storing a prepay value.

use payments::{
    model::order::{Order, PayParams, PrepayDelivery, Product, WrongValue, prepay_delivery},
    rules::issue_order::IssuedPrepay,
};
use stores::order_table::WriteOutcome;
use tracing::warn;
use wechatpay::{RequestId, api::PrepayValue, pay};

use super::{
    flow::IssueFlow,
    outcome::{IssueError, IssueOutcome, IssuedValue},
};
use crate::origin::{Origin, record_event};

impl IssueFlow {
    /// Stores the value, as the payer's device takes it.
    pub(super) async fn store(
        &self,
        order: Order,
        value: PrepayValue,
        request_id: Option<&RequestId>,
        origin: &Origin,
    ) -> Result<IssueOutcome, IssueError> {
        let context = origin.change_context(self.clock.now_ms());
        let params = match prepay_delivery(order.product, value)? {
            PrepayDelivery::AsIs(params) => params,
            PrepayDelivery::Sign(prepay_id) => self.sign(&order, &prepay_id).await?,
        };
        let issued = IssuedPrepay::new(&order, params, &context.with_request_id(request_id));
        let order_no = order.order_no.as_str();
        let wechat_request_id = request_id.map(RequestId::as_str);
        let stored = self.orders.store_prepay(&order, &issued).await;
        let stored = stored.inspect_err(|_| {
            // The call has no line of its own, and WeChat Pay's support asks for this.
            warn!(order_no, wechat_request_id, "a prepay value was not stored");
        });
        match stored? {
            WriteOutcome::Written(written) => {
                if let Some(event) = &issued.event {
                    let before = order.latest_event.as_ref();
                    record_event(&order.order_no, event, before, origin);
                }
                Ok(IssueOutcome::Issued(IssuedValue {
                    order: written,
                    is_renewed: issued.event.is_none(),
                    request_id: request_id.cloned(),
                }))
            }
            // The order was paid before the value was stored, or our lease ended and another
            // process's value is the valid one. Our value is dropped and never given out.
            WriteOutcome::Superseded(found) => {
                warn!(
                    order_no,
                    state = found.state.name(),
                    wechat_request_id,
                    "the order moved on while its prepay value was on the way"
                );
                Ok(IssueOutcome::of_changed(*found, self.clock.now()))
            }
        }
    }

    async fn sign(&self, order: &Order, prepay_id: &str) -> Result<PayParams, IssueError> {
        let signer = self.wechat.signer().await?;
        let (now, nonce) = (self.clock.now(), self.random.nonce());
        Ok(match order.product {
            Product::Jsapi => {
                PayParams::Jsapi(pay::jsapi(&signer, &order.appid, prepay_id, now, &nonce).await?)
            }
            Product::MiniProgram => PayParams::MiniProgram(
                pay::mini_program(&signer, &order.appid, prepay_id, now, &nonce).await?,
            ),
            Product::App => PayParams::App(
                pay::app(
                    &signer,
                    &order.appid,
                    self.wechat.mchid(),
                    prepay_id,
                    now,
                    &nonce,
                )
                .await?,
            ),
            Product::Native | Product::H5 => return Err(WrongValue(order.product.name()).into()),
        })
    }
}
