//! Starts `notify-operators`. Whatever is built once per sandbox is built here; [`handler`] does
//! the work.

use flows::{sandbox, sqs_event::SqsBatch};
use lambda_runtime::{LambdaEvent, service_fn};
use notify_operators::{app::App, handler};
use runtime::aws::CallLimits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let (settings, sandbox) = sandbox::start("notify-operators", CallLimits::PROMPT)?;
    let (app, clock) = (&App::open(settings, &sandbox), &sandbox.clock);
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<SqsBatch>| {
        let deadline_ms = sandbox::deadline_ms(event.context.deadline, clock);
        Ok::<_, lambda_runtime::Error>(handler::process(app, event.payload, deadline_ms).await)
    }))
    .await
}
