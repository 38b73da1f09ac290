//! Starts `console`. Whatever is built once per sandbox is built here; [`answer`] does the work.

use console::{answer, app::App};
use flows::sandbox;
use lambda_http::{
    Adapter, Request,
    lambda_runtime::{LambdaInvocation, Runtime, layers::TracingLayer},
    service_fn,
};
use runtime::aws::CallLimits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let (settings, sandbox) = sandbox::start("console", CallLimits::PROMPT)?;
    let spans = sandbox::spans("console", &sandbox)?;
    let (app, clock) = (&App::open(settings, &sandbox), &sandbox.clock);
    let serve = service_fn(async move |request: Request| {
        Ok::<_, lambda_http::Error>(answer::serve(app, request).await)
    });
    Runtime::new(Adapter::from(serve))
        .layer(TracingLayer::new())
        .layer(spans.layer(|event: &LambdaInvocation| {
            sandbox::recorded(&event.context.request_id, event.context.deadline, clock)
        }))
        .run()
        .await
}
