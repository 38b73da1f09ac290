//! Starts `create-order`. Whatever is built once per sandbox is built here; [`handler`] does the
//! work.

use adapters::{
    aws::{Aws, CallLimits},
    clock::Clock,
    env::ProcessEnv,
    random::Random,
    telemetry,
};
use create_order::{app::App, handler, settings::Settings};
use lambda_http::{Request, service_fn};

// A sandbox gets one event at a time: more than one thread would only cost memory and start-up
// time.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::init(&ProcessEnv);
    let settings = Settings::read(&ProcessEnv)?;
    let (clock, random) = (Clock::system(), Random::system());
    let aws = Aws::new(&settings.aws, &clock).within(CallLimits::PROMPT);
    let app = &App::open(settings, &aws, clock, random);
    lambda_http::run(service_fn(async move |request: Request| {
        let (parts, body) = request.into_parts();
        Ok::<_, lambda_http::Error>(handler::create(app, parts, body.to_vec()).await)
    }))
    .await
}
