//! Which of the function's routes a request is for.

/// The requested route. Days and ids are as in the path, not checked yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route<'a> {
    /// For programs: JSON, and CSV for their spreadsheets.
    Api(Api<'a>),
    /// For people: pages and their forms.
    Page(Page<'a>),
}

/// Routes under `/v1/reconciliations/{date}`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Api<'a> {
    /// `GET .`
    Day { date: &'a str },
    /// `POST .`
    Run { date: &'a str },
    /// `GET differences`
    Differences { date: &'a str },
    /// `GET differences.csv`
    Csv { date: &'a str },
    /// `GET differences/{id}`
    Difference { date: &'a str, id: &'a str },
    /// `POST differences/{id}/decisions`
    Decide { date: &'a str, id: &'a str },
}

/// Routes under `/console`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Page<'a> {
    /// `GET /console`
    Latest,
    /// `GET /console/style.css`
    Style,
    /// `GET /console/{date}`
    Day { date: &'a str },
    /// `POST /console/{date}`
    Run { date: &'a str },
    /// `GET /console/{date}/differences/{id}`
    Difference { date: &'a str, id: &'a str },
    /// `POST /console/{date}/differences/{id}`
    Decide { date: &'a str, id: &'a str },
    /// `GET /console/orders/{order_no}`
    Order { order_no: &'a str },
    /// `GET /console/map`
    Map,
}

impl Route<'_> {
    /// Its path with the names of its variable parts, as in the contract.
    pub(crate) const fn template(self) -> &'static str {
        match self {
            Self::Api(Api::Day { .. } | Api::Run { .. }) => "/v1/reconciliations/{date}",
            Self::Api(Api::Differences { .. }) => "/v1/reconciliations/{date}/differences",
            Self::Api(Api::Csv { .. }) => "/v1/reconciliations/{date}/differences.csv",
            Self::Api(Api::Difference { .. }) => "/v1/reconciliations/{date}/differences/{id}",
            Self::Api(Api::Decide { .. }) => {
                "/v1/reconciliations/{date}/differences/{id}/decisions"
            }
            Self::Page(Page::Latest) => "/console",
            Self::Page(Page::Style) => "/console/style.css",
            Self::Page(Page::Day { .. } | Page::Run { .. }) => "/console/{date}",
            Self::Page(Page::Difference { .. } | Page::Decide { .. }) => {
                "/console/{date}/differences/{id}"
            }
            Self::Page(Page::Order { .. }) => "/console/orders/{order_no}",
            Self::Page(Page::Map) => "/console/map",
        }
    }
}

impl Api<'_> {
    /// The query parameters that it takes.
    pub(crate) const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Differences { .. } => &["kind", "state", "after", "limit"],
            Self::Csv { .. } => &["kind", "state"],
            Self::Day { .. } | Self::Run { .. } | Self::Difference { .. } | Self::Decide { .. } => {
                &[]
            }
        }
    }

    /// Whether a request of it changes or starts something, and says in its body what. It is
    /// checked before anything else is done that no page of another site sent it.
    pub(crate) const fn changes_something(self) -> bool {
        match self {
            Self::Run { .. } | Self::Decide { .. } => true,
            Self::Day { .. }
            | Self::Differences { .. }
            | Self::Csv { .. }
            | Self::Difference { .. } => false,
        }
    }
}

impl Page<'_> {
    /// As [`Api::changes_something`], by a form.
    pub(crate) const fn changes_something(self) -> bool {
        match self {
            Self::Run { .. } | Self::Decide { .. } => true,
            Self::Latest
            | Self::Style
            | Self::Day { .. }
            | Self::Difference { .. }
            | Self::Order { .. }
            | Self::Map => false,
        }
    }
}

/// Whether this path is for a person with a browser, whatever the route.
pub(crate) fn is_page(path: &str) -> bool {
    path == "/console" || path.starts_with("/console/")
}

/// Reads method and path; `None` for no route of this function.
pub(crate) fn route<'a>(method: &str, path: &'a str) -> Option<Route<'a>> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let (get, post) = (method == "GET", method == "POST");
    Some(match *parts.as_slice() {
        ["console"] if get => Route::Page(Page::Latest),
        ["console", "style.css"] if get => Route::Page(Page::Style),
        ["console", "map"] if get => Route::Page(Page::Map),
        ["console", "orders", order_no] if get => Route::Page(Page::Order { order_no }),
        ["console", date] if get => Route::Page(Page::Day { date }),
        ["console", date] if post => Route::Page(Page::Run { date }),
        ["console", date, "differences", id] if get => Route::Page(Page::Difference { date, id }),
        ["console", date, "differences", id] if post => Route::Page(Page::Decide { date, id }),
        ["v1", "reconciliations", date] if get => Route::Api(Api::Day { date }),
        ["v1", "reconciliations", date] if post => Route::Api(Api::Run { date }),
        ["v1", "reconciliations", date, "differences"] if get => {
            Route::Api(Api::Differences { date })
        }
        ["v1", "reconciliations", date, "differences.csv"] if get => Route::Api(Api::Csv { date }),
        ["v1", "reconciliations", date, "differences", id] if get => {
            Route::Api(Api::Difference { date, id })
        }
        [
            "v1",
            "reconciliations",
            date,
            "differences",
            id,
            "decisions",
        ] if post => Route::Api(Api::Decide { date, id }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_found_by_method_and_path_and_nothing_else_is_one() {
        let date = "2026-08-01";
        let id = "x-1";
        let api = |api| Some(Route::Api(api));
        let page = |page| Some(Route::Page(page));
        for (method, path, expected) in [
            ("GET", "/console", page(Page::Latest)),
            ("GET", "/console/style.css", page(Page::Style)),
            ("GET", "/console/2026-08-01", page(Page::Day { date })),
            ("POST", "/console/2026-08-01", page(Page::Run { date })),
            (
                "GET",
                "/console/orders/ORDER-1",
                page(Page::Order {
                    order_no: "ORDER-1",
                }),
            ),
            ("POST", "/console/orders/ORDER-1", None),
            ("GET", "/console/map", page(Page::Map)),
            ("GET", "/console/map/", None),
            (
                "GET",
                "/console/2026-08-01/differences/x-1",
                page(Page::Difference { date, id }),
            ),
            (
                "POST",
                "/console/2026-08-01/differences/x-1",
                page(Page::Decide { date, id }),
            ),
            (
                "GET",
                "/v1/reconciliations/2026-08-01",
                api(Api::Day { date }),
            ),
            (
                "POST",
                "/v1/reconciliations/2026-08-01",
                api(Api::Run { date }),
            ),
            (
                "GET",
                "/v1/reconciliations/2026-08-01/differences",
                api(Api::Differences { date }),
            ),
            (
                "GET",
                "/v1/reconciliations/2026-08-01/differences.csv",
                api(Api::Csv { date }),
            ),
            (
                "GET",
                "/v1/reconciliations/2026-08-01/differences/x-1",
                api(Api::Difference { date, id }),
            ),
            (
                "POST",
                "/v1/reconciliations/2026-08-01/differences/x-1/decisions",
                api(Api::Decide { date, id }),
            ),
            ("GET", "/console/", None),
            ("POST", "/console", None),
            ("DELETE", "/console/2026-08-01", None),
            ("GET", "/consoles/2026-08-01", None),
            ("GET", "/v1/reconciliations", None),
            ("GET", "/v1/reconciliations//differences", None),
            (
                "POST",
                "/v1/reconciliations/2026-08-01/differences/x-1",
                None,
            ),
            ("GET", "/v1/orders/2026-08-01", None),
            ("GET", "", None),
        ] {
            assert_eq!(route(method, path), expected, "{method} {path}");
            let changes = expected.map(|route| match route {
                Route::Api(route) => route.changes_something(),
                Route::Page(route) => route.changes_something(),
            });
            assert!(
                changes.is_none_or(|changes| changes == (method == "POST")),
                "{method} {path}"
            );
        }
        assert!(is_page("/console") && is_page("/console/nowhere"));
        assert!(!is_page("/consoles") && !is_page("/v1/reconciliations/console"));
    }
}
