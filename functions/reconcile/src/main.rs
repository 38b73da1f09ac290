//! Starts `reconcile`. Whatever is built once per sandbox is built here; [`handler`] does the work.

use flows::sandbox;
use lambda_runtime::{LambdaEvent, LambdaInvocation, Runtime, layers::TracingLayer, service_fn};
use reconcile::{
    app::App,
    handler::{self, Input},
};
use runtime::aws::CallLimits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let (settings, sandbox) = sandbox::start("reconcile", CallLimits::PATIENT)?;
    let spans = sandbox::spans("reconcile", &sandbox)?;
    let (app, clock) = (&App::open(settings, &sandbox), &sandbox.clock);
    let handle = service_fn(async move |event: LambdaEvent<Input>| {
        let deadline_ms = sandbox::deadline_ms(event.context.deadline, clock);
        Ok::<_, lambda_runtime::Error>(handler::run(app, event.payload, deadline_ms).await?)
    });
    Runtime::new(handle)
        .layer(TracingLayer::new())
        .layer(spans.layer(|event: &LambdaInvocation| {
            sandbox::recorded(&event.context.request_id, event.context.deadline, clock)
        }))
        .run()
        .await
}
