//! Starts `console`. Whatever is built once per sandbox is built here; [`answer`] does the work.

use console::{answer, app::App};
use flows::sandbox;
use lambda_http::{Request, service_fn};
use runtime::aws::CallLimits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let (settings, sandbox) = sandbox::start("console", CallLimits::PROMPT)?;
    let app = &App::open(settings, &sandbox);
    lambda_http::run(service_fn(async move |request: Request| {
        Ok::<_, lambda_http::Error>(answer::serve(app, request).await)
    }))
    .await
}
