//! Starts `send-webhook`. Whatever is built once per sandbox is built here; [`handler`] does the
//! work.

use adapters::{
    aws::{Aws, CallLimits},
    clock::Clock,
    env::ProcessEnv,
    telemetry,
};
use flows::sqs_event::SqsBatch;
use lambda_runtime::{LambdaEvent, service_fn};
use send_webhook::{app::App, handler, settings::Settings};

// A sandbox gets one event at a time: more than one thread would only cost memory and start-up
// time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init(&ProcessEnv);
    let settings = Settings::read(&ProcessEnv)?;
    let clock = Clock::system();
    let aws = Aws::new(&settings.aws, &clock).within(CallLimits::PROMPT);
    let app = &App::open(settings, &aws, clock);
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<SqsBatch>| {
        let deadline_ms = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        Ok::<_, lambda_runtime::Error>(handler::process(app, event.payload, deadline_ms).await)
    }))
    .await
}
