//! An answer as it leaves the function.

use std::{future::ready, pin::Pin};

use lambda_http::{
    Body, IntoResponse, Request,
    http::{HeaderMap, Response, header::CONTENT_TYPE},
};

use crate::{app::App, handler};

/// An answer whose body leaves as it is. `lambda_http` would decode a text by its type, which takes
/// the byte order mark off a file, and then a spreadsheet program reads its Chinese as Latin-1.
#[derive(Debug)]
pub struct RawBody(Response<String>);

impl IntoResponse for RawBody {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let (parts, body) = self.0.into_parts();
        let body = if is_file(&parts.headers) {
            Body::Binary(body.into_bytes())
        } else {
            Body::Text(body)
        };
        Box::pin(ready(Response::from_parts(parts, body)))
    }
}

/// Answers one event of the API.
pub async fn serve(app: &App, request: Request) -> RawBody {
    let (parts, body) = request.into_parts();
    RawBody(handler::serve(app, parts, body.to_vec()).await)
}

/// Whether the body is a file, of which every byte counts.
fn is_file(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/csv"))
}
