//! Starts `receive-callback`. Whatever is built once per sandbox is built here; [`handler`] does
//! the work.

use flows::sandbox;
use lambda_runtime::{LambdaEvent, service_fn};
use receive_callback::{
    app::App,
    event::{GatewayRequest, GatewayResponse},
    handler,
};
use runtime::aws::CallLimits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let (settings, sandbox) = sandbox::start("receive-callback", CallLimits::CALLBACK)?;
    let app = &App::open(settings, &sandbox);
    lambda_runtime::run(service_fn(
        async move |event: LambdaEvent<GatewayRequest>| {
            // Boxed, since the runtime's own futures around this one are as deep as the compiler
            // will go.
            let answer = Box::pin(handler::receive(app, event.payload)).await;
            Ok::<_, lambda_runtime::Error>(GatewayResponse::from(answer))
        },
    ))
    .await
}
