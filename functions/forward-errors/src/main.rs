//! Starts `forward-errors`. Whatever is built once per sandbox is built here; [`handler`] does the
//! work.

use flows::{problem::ErrorChain, sandbox};
use forward_errors::{app::App, handler};
use lambda_runtime::{LambdaEvent, LambdaInvocation, Runtime, layers::TracingLayer, service_fn};
use runtime::aws::CallLimits;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let (settings, sandbox) = sandbox::start("forward-errors", CallLimits::PROMPT)?;
    let spans = sandbox::spans("forward-errors", &sandbox)?;
    let (app, clock) = (&App::open(settings, &sandbox), &sandbox.clock);
    let handle = service_fn(async move |event: LambdaEvent<Value>| {
        let deadline_ms = sandbox::deadline_ms(event.context.deadline, clock);
        let done = handler::forward(app, &event.payload, deadline_ms).await;
        // Lambda keeps these words with an event that it gives up.
        done.map_err(|error| ErrorChain(&error).to_string())
    });
    Runtime::new(handle)
        .layer(TracingLayer::new())
        .layer(spans.layer(|event: &LambdaInvocation| {
            sandbox::recorded(&event.context.request_id, event.context.deadline, clock)
        }))
        .run()
        .await
}
