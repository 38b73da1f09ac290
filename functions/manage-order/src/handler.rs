//! Request -> authentication -> the order, if it is the client's -> show, close, refund or send
//! events again -> answer.

use std::time::Duration;

use flows::{
    api_request::ApiRequest, authenticate::Caller, incoming::Incoming, origin::Origin,
    problem::Problem,
};
use lambda_http::http::{Response, request::Parts};
use payments::model::{ids::OrderNo, order::Order};
use runtime::telemetry::emf::end_of_run;

use crate::{
    app::App,
    route::{Route, route},
};

mod orders;
mod refunds;
mod webhooks;

/// The largest body of these routes, in bytes.
const BODY_MAX: usize = 16 * 1024;

/// How long WeChat Pay may take for what changes something.
const ACT_WITHIN: Duration = Duration::from_secs(8);
/// When it is worth reading again what is not done yet, in seconds.
const POLL_AFTER_S: i64 = 2;

/// Answers one request.
pub async fn manage(app: &App, parts: Parts, body: Vec<u8>) -> Response<String> {
    let request = ApiRequest::new(parts, body, &app.random);
    let incoming = &request.incoming;
    let template = route(incoming.method(), incoming.path()).map(Route::template);
    let span = request.span(template, &app.clock);
    let handled = Request {
        app,
        incoming,
        origin: &request.origin,
    };
    let answered = span.around(handled.answer()).await;
    let answer = request.answer_within(span, answered, &app.clock);
    end_of_run();
    answer
}

/// One request being handled.
struct Request<'a> {
    app: &'a App,
    incoming: &'a Incoming,
    origin: &'a Origin,
}

impl Request<'_> {
    async fn answer(&self) -> Result<Response<String>, Problem> {
        let route =
            route(self.incoming.method(), self.incoming.path()).ok_or_else(Problem::no_route)?;
        if route.takes_a_body() && self.incoming.body().len() > BODY_MAX {
            return Err(Problem::too_large(BODY_MAX));
        }
        let caller = self.app.authenticator.authenticate(self.incoming).await?;
        let limits = &self.app.client_limits;
        limits
            .within(&caller, Box::pin(self.act(&caller, route)))
            .await
    }

    /// Does what a client asks for that is within its limit.
    async fn act(&self, caller: &Caller, route: Route<'_>) -> Result<Response<String>, Problem> {
        caller.has_scope(route.scope())?;
        self.incoming.has_no_query()?;
        if !route.takes_a_body() {
            self.incoming.has_no_body()?;
        }
        // Here for all routes, so that none can forget it.
        if route.changes_something() {
            self.app.nonces.consume(caller).await?;
        }
        match route {
            Route::Show { order_no } => self.show(caller, order_no).await,
            Route::Events { order_no } => self.events(caller, order_no).await,
            Route::Refunds { order_no } => self.refunds(caller, order_no).await,
            Route::ShowRefund {
                order_no,
                refund_no,
            } => self.show_refund(caller, order_no, refund_no).await,
            Route::ShowWebhook => self.show_webhook(caller).await,
            Route::Resend => self.resend(caller).await,
            Route::Close { order_no } => self.close(caller, order_no).await,
            Route::Refund { order_no } => self.refund(caller, order_no).await,
            Route::Retry {
                order_no,
                refund_no,
            } => self.retry(caller, order_no, refund_no).await,
            Route::Release {
                order_no,
                refund_no,
            } => self.release(caller, order_no, refund_no).await,
            Route::Abnormal {
                order_no,
                refund_no,
            } => self.redirect(caller, order_no, refund_no).await,
            Route::PayerPaid {
                order_no,
                refund_no,
            } => self.payer_paid(caller, order_no, refund_no).await,
            Route::Replay { order_no, version } => self.replay(caller, order_no, version).await,
        }
    }

    /// An order of this client's. Another client's does not exist for it.
    async fn order(&self, caller: &Caller, order_no: &str) -> Result<Order, Problem> {
        let order_no = OrderNo::parse(order_no)?;
        let found = self.app.orders.read(&order_no).await?;
        found
            .filter(|order| order.client_id == caller.client_id)
            .ok_or_else(Problem::order_not_found)
    }
}
