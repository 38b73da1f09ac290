//! Starts `receive-callback`. Whatever is built once per sandbox is built here; [`handler`] does
//! the work.

use flows::sandbox;
use lambda_runtime::{LambdaEvent, LambdaInvocation, Runtime, layers::TracingLayer, service_fn};
use receive_callback::{
    app::App,
    event::{GatewayRequest, GatewayResponse},
    handler,
};
use runtime::aws::CallLimits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let (settings, sandbox) = sandbox::start("receive-callback", CallLimits::CALLBACK)?;
    let spans = sandbox::spans("receive-callback", &sandbox)?;
    let (app, clock) = (&App::open(settings, &sandbox), &sandbox.clock);
    let handle = service_fn(async move |event: LambdaEvent<GatewayRequest>| {
        // Boxed, since the runtime's own futures around this one are as deep as the compiler
        // will go.
        let answer = Box::pin(handler::receive(app, event.payload)).await;
        Ok::<_, lambda_runtime::Error>(GatewayResponse::from(answer))
    });
    Runtime::new(handle)
        .layer(TracingLayer::new())
        .layer(spans.layer(|event: &LambdaInvocation| {
            sandbox::recorded(&event.context.request_id, event.context.deadline, clock)
        }))
        .run()
        .await
}
