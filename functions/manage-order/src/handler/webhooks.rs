//! The caller's webhook, and events that are sent again.

use flows::{authenticate::Caller, problem::Problem, view};
use futures_util::{StreamExt, TryStreamExt, stream};
use lambda_http::http::{Response, StatusCode};
use payments::rules::webhook::{RESEND_PAUSE_S, RESENT_AT_ONCE};
use stores::{
    guards::{Lease, LeaseKey},
    keys_table::webhook::WebhookState,
    undelivered::EventCursor,
};
use tracing::info;

use super::Request;
use crate::input::ResendRequest;

/// How many events are handed to the queue side by side.
const HANDED_OVER_AT_ONCE: usize = 20;

impl Request<'_> {
    /// The state of the caller's webhook, and whether there are undelivered events. This is not
    /// sent by the webhook itself, so a client can learn that it no longer receives events.
    pub(super) async fn show_webhook(&self, caller: &Caller) -> Result<Response<String>, Problem> {
        let state = self.webhook(caller).await?;
        let oldest = self
            .app
            .undelivered
            .oldest(caller.client_id.as_str())
            .await?;
        let disabled = state.disabled.as_ref();
        let shown = view::WebhookStatus {
            host: state.host.as_deref(),
            disabled: disabled.map(|(why, since)| (why.as_str(), *since)),
            last_answer: state.last_answer.as_ref(),
            oldest_undelivered_at: oldest,
        };
        Ok(view::answer(StatusCode::OK, &view::webhook(&shown)))
    }

    /// Sends some of the events again that the caller's receiver does not have, and says where to
    /// go on. An event leaves the list when it is delivered, so that nothing is lost when this ends
    /// halfway; what was handed over twice by then has the same `webhook-id` both times.
    pub(super) async fn resend(&self, caller: &Caller) -> Result<Response<String>, Problem> {
        let body = self.incoming.json_body()?;
        let now = self.app.clock.now();
        let asked = ResendRequest::read(body, now)?;
        if self.webhook(caller).await?.disabled.is_some() {
            return Err(Problem::webhook_disabled());
        }
        let client_id = caller.client_id.as_str();
        let lease = LeaseKey::Resend {
            mchid: &self.app.mchid,
            client_id,
        };
        let holder = self.app.random.id();
        let taken = self
            .app
            .guards
            .lease(&lease, &holder, RESEND_PAUSE_S, now)
            .await?;
        if let Lease::Held { until, .. } = taken {
            return Err(Problem::resent_just_now(until.since(now)));
        }
        let page = self
            .app
            .undelivered
            .page(
                client_id,
                asked.from,
                asked.to,
                asked.after.as_ref(),
                RESENT_AT_ONCE,
            )
            .await?;
        let trace = self.origin.trace.headers();
        let mut sendings = Vec::with_capacity(page.events.len());
        for event in &page.events {
            sendings.push(self.app.webhooks.send_webhook(event, trace.clone()));
        }
        let sent = stream::iter(sendings)
            .buffer_unordered(HANDED_OVER_AT_ONCE)
            .try_collect::<Vec<()>>()
            .await;
        sent.map_err(|error| Problem::unavailable(&error))?;
        let count = page.events.len();
        info!(
            client_id,
            count,
            trace_id = self.origin.trace.id(),
            "undelivered events sent again"
        );
        let next = page.next.as_ref().map(EventCursor::as_str);
        Ok(view::resent(count, next, RESEND_PAUSE_S))
    }

    /// Sends the webhook of one event again.
    pub(super) async fn replay(
        &self,
        caller: &Caller,
        order_no: &str,
        version: &str,
    ) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let version: u64 = version.parse().map_err(|_| Problem::event_not_found())?;
        let found = self.app.orders.outgoing_event(&order, version).await?;
        let event = found.ok_or_else(Problem::event_not_found)?;
        let sent = self
            .app
            .webhooks
            .send_webhook(&event, self.origin.trace.headers())
            .await;
        sent.map_err(|error| Problem::unavailable(&error))?;
        info!(
            order_no,
            version,
            trace_id = self.origin.trace.id(),
            "event sent again"
        );
        Ok(view::event_accepted(&order.order_no, version))
    }

    async fn webhook(&self, caller: &Caller) -> Result<WebhookState, Problem> {
        let state = self
            .app
            .keys
            .webhook_state(caller.client_id.as_str())
            .await?;
        state.ok_or_else(Problem::webhook_not_found)
    }
}
