//! Starts `create-order`. Whatever is built once per sandbox is built here; [`handler`] does the
//! work.

use create_order::{app::App, handler};
use flows::sandbox;
use lambda_http::{
    Adapter, Request,
    lambda_runtime::{LambdaInvocation, Runtime, layers::TracingLayer},
    service_fn,
};
use runtime::aws::CallLimits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let (settings, sandbox) = sandbox::start("create-order", CallLimits::PROMPT)?;
    let spans = sandbox::spans("create-order", &sandbox)?;
    let (app, clock) = (&App::open(settings, &sandbox), &sandbox.clock);
    let answer = service_fn(async move |request: Request| {
        let (parts, body) = request.into_parts();
        Ok::<_, lambda_http::Error>(handler::create(app, parts, body.to_vec()).await)
    });
    Runtime::new(Adapter::from(answer))
        .layer(TracingLayer::new())
        .layer(spans.layer(|event: &LambdaInvocation| {
            sandbox::recorded(&event.context.request_id, event.context.deadline, clock)
        }))
        .run()
        .await
}
