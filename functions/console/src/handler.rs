//! Request -> who asks -> a day or a difference -> shown, run again or decided about -> page, JSON
//! or CSV.
//!
//! A decision and the message that starts a refund are two calls. The decision is written first. A
//! later view of an approved difference sends the message again, and so does the daily run, so
//! nothing is lost by a crash in between.

mod act;
mod api;
mod map;
mod site;

use flows::{
    incoming::Incoming,
    problem::Problem,
    request_span::{end_request_span, request_span},
    trace::Trace,
};
use lambda_http::{
    http::{
        HeaderName, HeaderValue, Response,
        header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    request::RequestContext,
};
use runtime::telemetry::emf::end_of_run;

use crate::{
    app::App,
    pages,
    person::Viewer,
    route::{Route, is_page, route},
};

/// The largest body of these routes, in bytes.
const BODY_MAX: usize = 16 * 1024;

/// Answers one request.
pub async fn serve(app: &App, mut parts: Parts, body: Vec<u8>) -> Response<String> {
    let request_id = app.random.id();
    let context = parts.extensions.remove::<RequestContext>();
    let incoming = Incoming::new(parts, body);
    let trace = Trace::from_headers(
        incoming.header("traceparent"),
        incoming.header("tracestate"),
        &app.random,
    );
    let (method, path) = (incoming.method(), incoming.path());
    let template = route(method, path).map(Route::template);
    let span = request_span(method, template, &trace, app.clock.now_ms());
    let answered = span
        .around(answer(app, &incoming, context.as_ref(), &trace))
        .await;
    let mut answer = answered.unwrap_or_else(|problem| {
        let answer = problem.answer(&request_id);
        if is_page(incoming.path()) {
            pages::problem(&problem, answer)
        } else {
            answer
        }
    });
    answer.headers_mut().extend(trace.header());
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A stricter policy would make browsers omit the origin of our forms.
        (REFERRER_POLICY, "same-origin"),
    ] {
        set(&mut answer, name, value);
    }
    end_request_span(span, answer.status(), app.clock.now_ms());
    end_of_run();
    answer
}

async fn answer(
    app: &App,
    incoming: &Incoming,
    context: Option<&RequestContext>,
    trace: &Trace,
) -> Result<Response<String>, Problem> {
    let viewer = Viewer::of(&app.auth, context, incoming)?;
    let route = route(incoming.method(), incoming.path()).ok_or_else(Problem::no_route)?;
    if incoming.body().len() > BODY_MAX {
        return Err(Problem::too_large(BODY_MAX));
    }
    let request = Request {
        app,
        incoming,
        viewer: &viewer,
        trace,
    };
    match route {
        Route::Api(route) => request.api(route).await,
        Route::Page(route) => request.page(route).await,
    }
}

/// One request being handled.
struct Request<'a> {
    app: &'a App,
    incoming: &'a Incoming,
    viewer: &'a Viewer,
    trace: &'a Trace,
}

/// Sets a header with a constant value.
fn set(answer: &mut Response<String>, name: HeaderName, value: &'static str) {
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
