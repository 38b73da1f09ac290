//! Which of the function's routes a request is for.

use payments::model::permissions::Scope;

/// The requested route. Numbers are as in the path, not checked yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route<'a> {
    /// `GET /v1/orders/{order_no}`
    Show { order_no: &'a str },
    /// `GET /v1/orders/{order_no}/events`
    Events { order_no: &'a str },
    /// `POST /v1/orders/{order_no}/events/{version}/replay`
    Replay { order_no: &'a str, version: &'a str },
    /// `GET /v1/webhook`
    ShowWebhook,
    /// `POST /v1/webhook/resend`
    Resend,
    /// `POST /v1/orders/{order_no}/close`
    Close { order_no: &'a str },
    /// `POST /v1/orders/{order_no}/refunds`
    Refund { order_no: &'a str },
    /// `GET /v1/orders/{order_no}/refunds`
    Refunds { order_no: &'a str },
    /// `GET /v1/orders/{order_no}/refunds/{refund_no}`
    ShowRefund {
        order_no: &'a str,
        refund_no: &'a str,
    },
    /// `POST /v1/orders/{order_no}/refunds/{refund_no}/retry`
    Retry {
        order_no: &'a str,
        refund_no: &'a str,
    },
    /// `POST /v1/orders/{order_no}/refunds/{refund_no}/release`
    Release {
        order_no: &'a str,
        refund_no: &'a str,
    },
    /// `POST /v1/orders/{order_no}/refunds/{refund_no}/abnormal`
    Abnormal {
        order_no: &'a str,
        refund_no: &'a str,
    },
    /// `POST /v1/orders/{order_no}/refunds/{refund_no}/payer-paid`
    PayerPaid {
        order_no: &'a str,
        refund_no: &'a str,
    },
}

impl Route<'_> {
    /// Its path with the names of its variable parts, as in the contract.
    pub(crate) const fn template(self) -> &'static str {
        match self {
            Self::Show { .. } => "/v1/orders/{order_no}",
            Self::Events { .. } => "/v1/orders/{order_no}/events",
            Self::Replay { .. } => "/v1/orders/{order_no}/events/{version}/replay",
            Self::ShowWebhook => "/v1/webhook",
            Self::Resend => "/v1/webhook/resend",
            Self::Close { .. } => "/v1/orders/{order_no}/close",
            Self::Refund { .. } | Self::Refunds { .. } => "/v1/orders/{order_no}/refunds",
            Self::ShowRefund { .. } => "/v1/orders/{order_no}/refunds/{refund_no}",
            Self::Retry { .. } => "/v1/orders/{order_no}/refunds/{refund_no}/retry",
            Self::Release { .. } => "/v1/orders/{order_no}/refunds/{refund_no}/release",
            Self::Abnormal { .. } => "/v1/orders/{order_no}/refunds/{refund_no}/abnormal",
            Self::PayerPaid { .. } => "/v1/orders/{order_no}/refunds/{refund_no}/payer-paid",
        }
    }

    /// What its client's key has to be allowed. The contract names the same beside each route.
    pub(crate) const fn scope(self) -> Scope {
        match self {
            Self::Show { .. }
            | Self::Events { .. }
            | Self::Refunds { .. }
            | Self::ShowRefund { .. }
            | Self::ShowWebhook
            | Self::Replay { .. }
            | Self::Resend => Scope::Read,
            Self::Close { .. } => Scope::Close,
            // Only a refund that the key could ask for itself, and which counted when it was asked
            // for, goes out once more.
            Self::Refund { .. } | Self::Retry { .. } => Scope::Refund,
            Self::Release { .. } | Self::Abnormal { .. } | Self::PayerPaid { .. } => Scope::Decide,
        }
    }

    /// Whether a request of it changes or sends something. Its nonce is consumed before anything
    /// else is done.
    pub(crate) const fn changes_something(self) -> bool {
        match self {
            Self::Replay { .. }
            | Self::Resend
            | Self::Close { .. }
            | Self::Refund { .. }
            | Self::Retry { .. }
            | Self::Release { .. }
            | Self::Abnormal { .. }
            | Self::PayerPaid { .. } => true,
            Self::Show { .. }
            | Self::Events { .. }
            | Self::ShowWebhook
            | Self::Refunds { .. }
            | Self::ShowRefund { .. } => false,
        }
    }

    /// Whether a request of it says something in its body.
    pub(crate) const fn takes_a_body(self) -> bool {
        match self {
            Self::Refund { .. }
            | Self::Release { .. }
            | Self::Abnormal { .. }
            | Self::PayerPaid { .. }
            | Self::Resend => true,
            Self::Show { .. }
            | Self::ShowWebhook
            | Self::Events { .. }
            | Self::Replay { .. }
            | Self::Close { .. }
            | Self::Refunds { .. }
            | Self::ShowRefund { .. }
            | Self::Retry { .. } => false,
        }
    }
}

/// Reads method and path; `None` for no route of this function.
pub(crate) fn route<'a>(method: &str, path: &'a str) -> Option<Route<'a>> {
    match (method, path) {
        ("GET", "/v1/webhook") => return Some(Route::ShowWebhook),
        ("POST", "/v1/webhook/resend") => return Some(Route::Resend),
        _ => {}
    }
    let parts: Vec<&str> = path.strip_prefix("/v1/orders/")?.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    Some(match (method, parts.as_slice()) {
        ("GET", &[order_no]) => Route::Show { order_no },
        ("GET", &[order_no, "events"]) => Route::Events { order_no },
        ("POST", &[order_no, "events", version, "replay"]) => Route::Replay { order_no, version },
        ("POST", &[order_no, "close"]) => Route::Close { order_no },
        ("POST", &[order_no, "refunds"]) => Route::Refund { order_no },
        ("GET", &[order_no, "refunds"]) => Route::Refunds { order_no },
        ("GET", &[order_no, "refunds", refund_no]) => Route::ShowRefund {
            order_no,
            refund_no,
        },
        ("POST", &[order_no, "refunds", refund_no, "retry"]) => Route::Retry {
            order_no,
            refund_no,
        },
        ("POST", &[order_no, "refunds", refund_no, "release"]) => Route::Release {
            order_no,
            refund_no,
        },
        ("POST", &[order_no, "refunds", refund_no, "abnormal"]) => Route::Abnormal {
            order_no,
            refund_no,
        },
        ("POST", &[order_no, "refunds", refund_no, "payer-paid"]) => Route::PayerPaid {
            order_no,
            refund_no,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_found_by_method_and_path_and_nothing_else_is_one() {
        let order_no = "ORDER-1";
        let refund_no = "R1";
        for (method, path, expected) in [
            ("GET", "/v1/webhook", Some(Route::ShowWebhook)),
            ("POST", "/v1/webhook", None),
            ("POST", "/v1/webhook/resend", Some(Route::Resend)),
            ("GET", "/v1/webhook/", None),
            ("GET", "/v1/orders/ORDER-1", Some(Route::Show { order_no })),
            (
                "GET",
                "/v1/orders/ORDER-1/events",
                Some(Route::Events { order_no }),
            ),
            (
                "POST",
                "/v1/orders/ORDER-1/events/3/replay",
                Some(Route::Replay {
                    order_no,
                    version: "3",
                }),
            ),
            (
                "POST",
                "/v1/orders/ORDER-1/close",
                Some(Route::Close { order_no }),
            ),
            (
                "POST",
                "/v1/orders/ORDER-1/refunds",
                Some(Route::Refund { order_no }),
            ),
            (
                "GET",
                "/v1/orders/ORDER-1/refunds",
                Some(Route::Refunds { order_no }),
            ),
            (
                "GET",
                "/v1/orders/ORDER-1/refunds/R1",
                Some(Route::ShowRefund {
                    order_no,
                    refund_no,
                }),
            ),
            (
                "POST",
                "/v1/orders/ORDER-1/refunds/R1/retry",
                Some(Route::Retry {
                    order_no,
                    refund_no,
                }),
            ),
            (
                "POST",
                "/v1/orders/ORDER-1/refunds/R1/release",
                Some(Route::Release {
                    order_no,
                    refund_no,
                }),
            ),
            (
                "POST",
                "/v1/orders/ORDER-1/refunds/R1/abnormal",
                Some(Route::Abnormal {
                    order_no,
                    refund_no,
                }),
            ),
            (
                "POST",
                "/v1/orders/ORDER-1/refunds/R1/payer-paid",
                Some(Route::PayerPaid {
                    order_no,
                    refund_no,
                }),
            ),
            ("POST", "/v1/orders/ORDER-1", None),
            ("GET", "/v1/orders/", None),
            ("GET", "/v1/orders/ORDER-1/", None),
            ("GET", "/v1/orders//close", None),
            ("GET", "/v1/orders/ORDER-1/close", None),
            ("POST", "/v1/orders/ORDER-1/refunds/R1", None),
            ("DELETE", "/v1/orders/ORDER-1/refunds/R1", None),
            ("GET", "/v2/orders/ORDER-1", None),
        ] {
            assert_eq!(route(method, path), expected, "{method} {path}");
            let changes = expected.map(Route::changes_something);
            assert!(
                changes.is_none_or(|changes| changes == (method == "POST")),
                "{method} {path}"
            );
        }
    }
}
