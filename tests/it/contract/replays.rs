//! Requests that were overheard and are sent once more, for every route of the contract: a new one
//! cannot be forgotten.

use serde_json::json;

use super::bodies::{operations, path_of};
use crate::support::{Testbed, api::Draft, native};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_changes_something_is_refused_when_the_same_request_comes_again() {
    let testbed = Testbed::start().await;
    let routes: Vec<_> = operations()
        .into_iter()
        .filter(|(route, method, _)| {
            // The console's are not signed.
            *method == "post" && !route.starts_with("/v1/reconciliations")
        })
        .collect();
    assert!(routes.len() >= 9, "{routes:?}");
    for (n, (route, _, has_body)) in routes.into_iter().enumerate() {
        let path = path_of(&testbed, route);
        let body = match route {
            "/v1/orders" => native("ORDER-1"),
            _ => json!({}),
        };
        let request = || {
            testbed.client.sign(Draft {
                method: "POST",
                path: &path,
                headers: vec![("content-type", "application/json".to_owned())],
                body: if has_body {
                    body.to_string().into_bytes()
                } else {
                    Vec::new()
                },
                created_s: testbed.clock.now().0,
                nonce: Some(format!("overheard-{n}")),
            })
        };
        let first = testbed.send(request()).await;
        assert_ne!(first.status, 401, "{path}: {first:?}");
        let again = testbed.send(request()).await;
        assert_eq!(
            (again.status, again.code()),
            (401, "nonce_seen"),
            "{path}: {again:?}"
        );
    }
}
