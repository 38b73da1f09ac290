//! Starts `create-order`. Whatever is built once per sandbox is built here; [`handler`] does the
//! work.

use create_order::{app::App, handler};
use flows::sandbox;
use lambda_http::{Request, service_fn};
use runtime::aws::CallLimits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let (settings, sandbox) = sandbox::start("create-order", CallLimits::PROMPT)?;
    let app = &App::open(settings, &sandbox);
    lambda_http::run(service_fn(async move |request: Request| {
        let (parts, body) = request.into_parts();
        Ok::<_, lambda_http::Error>(handler::create(app, parts, body.to_vec()).await)
    }))
    .await
}
