//! Starts `reconcile`. Whatever is built once per sandbox is built here; [`handler`] does the work.

use adapters::{aws::Aws, clock::Clock, env::ProcessEnv, random::Random, telemetry};
use lambda_runtime::{LambdaEvent, service_fn};
use reconcile::{
    app::App,
    handler::{self, Input},
    settings::Settings,
};

// A sandbox gets one event at a time: more than one thread would only cost memory and start-up
// time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init(&ProcessEnv);
    let settings = Settings::read(&ProcessEnv)?;
    let (clock, random) = (Clock::system(), Random::system());
    let aws = Aws::new(&settings.aws, &clock);
    let app = &App::open(settings, &aws, clock, random);
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Input>| {
        let deadline_ms = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        Ok::<_, lambda_runtime::Error>(handler::run(app, event.payload, deadline_ms).await?)
    }))
    .await
}
