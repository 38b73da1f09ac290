//! The page on which a person sees open orders and pays, cancels or fails them, and the QR codes on
//! it.

use axum::{
    Router,
    extract::{Query, State},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use qrcode::{QrCode, render::svg};
use serde::Deserialize;

use crate::admin::Admin;

const PAGE: &str = include_str!("phone.html");

/// `/phone`, its QR codes, and the place that an `h5_url` leads to.
pub(crate) fn routes(admin: Admin) -> Router {
    Router::new()
        .route(
            "/",
            get(|| async { axum::response::Redirect::temporary("/phone") }),
        )
        .route("/phone", get(page))
        .route("/cgi-bin/mmpayweb-bin/checkmweb", get(page))
        .route("/phone/qr.svg", get(qr))
        .with_state(admin)
}

/// The page needs no external resources, and must not load any: descriptions come from clients.
async fn page() -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self'; connect-src 'self'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE)).into_response()
}

#[derive(Deserialize)]
struct WhichOrder {
    order: String,
}

/// The order's live `code_url` as a QR code.
async fn qr(State(admin): State<Admin>, Query(which): Query<WhichOrder>) -> Response {
    let Ok(view) = admin.order(&which.order) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match QrCode::new(view.order.prepay.value.as_bytes()) {
        Ok(code) => {
            let image = code
                .render::<svg::Color<'_>>()
                .min_dimensions(240, 240)
                .build();
            (
                [
                    (header::CONTENT_TYPE, "image/svg+xml"),
                    (header::CACHE_CONTROL, "no-store"),
                ],
                image,
            )
                .into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
