//! Request -> authentication -> the payer's lease -> number reserved -> prepay value -> answer.

use flows::{api_request::ApiRequest, problem::Problem};
use lambda_http::http::{Response, request::Parts};
use payments::{model::permissions::Scope, rules::create_order::CreateOrder};
use runtime::telemetry::emf::end_of_run;

use crate::{
    answered::{Arrival, Progress, report},
    app::App,
    issue_or_enqueue::issue_or_enqueue,
    payer_lease::PayerLease,
    reserve::reserve,
};

/// This function's route.
const ROUTE: &str = "/v1/orders";
/// What its client's key has to be allowed. The contract names the same.
const SCOPE: Scope = Scope::Create;

/// The largest body of this route, in bytes.
pub const BODY_MAX: usize = 16 * 1024;

/// Answers one request.
pub async fn create(app: &App, parts: Parts, body: Vec<u8>) -> Response<String> {
    let arrival = Arrival::of(&parts, &app.clock);
    let request = ApiRequest::new(parts, body, &app.random);
    let mut progress = Progress::default();
    let span = request.span(Some(ROUTE), &app.clock);
    let created = span.around(create_once(app, &request, &mut progress)).await;
    report(app, &request, &arrival, &progress, &created);
    let answer = request.answer_within(span, created, &app.clock);
    end_of_run();
    answer
}

/// Makes the order, and leaves in `progress` what the log says of it.
async fn create_once(
    app: &App,
    request: &ApiRequest,
    progress: &mut Progress,
) -> Result<Response<String>, Problem> {
    let incoming = &request.incoming;
    if incoming.body().len() > BODY_MAX {
        return Err(Problem::too_large(BODY_MAX));
    }
    let caller = app.authenticator.authenticate(incoming).await?;
    let within_limit = Box::pin(async {
        caller.has_scope(SCOPE)?;
        incoming.has_no_query()?;
        let Progress { asked, issued } = progress;
        let asked = asked.insert(CreateOrder::read(
            incoming.json_body()?,
            incoming.header("idempotency-key"),
            &caller.client_id,
            &app.merchant,
        )?);
        caller.permissions.limits.allow_order(asked.terms.amount)?;
        let lease = PayerLease::take(app, asked, &caller, &request.id).await?;
        let created = match reserve(app, asked, &caller, request).await {
            Ok(reservation) => issue_or_enqueue(app, reservation, request, issued).await,
            Err(problem) => Err(problem),
        };
        lease.give_back(app).await;
        created
    });
    app.client_limits.within(&caller, within_limit).await
}
