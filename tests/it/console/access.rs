//! Who may see the console, and which forms count.

use payments::reconcile::difference::{DifferenceKind, DifferenceState};
use serde_json::json;

use super::{claims, form, from, get, header, li};
use crate::support::Testbed;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_verified_token_nothing_is_shown_whatever_headers_say() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let day = format!("/console/{}", testbed.day(1));
    let one = testbed
        .difference(DifferenceKind::DuplicatePayment, "books-0042")
        .id;
    for path in [
        "/console",
        "/console/style.css",
        "/console/nowhere",
        &day,
        &format!("{day}/differences/{one}"),
    ] {
        let mut request = get(path);
        for (name, value) in [
            ("cookie", "console_you=li@example.com"),
            ("authorization", "Bearer e30.e30."),
            ("x-forwarded-user", "li@example.com"),
        ] {
            request
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        let answer = testbed.console(None, request).await;
        assert_eq!(answer.status(), 401, "{path}");
        assert_eq!(header(&answer, "www-authenticate"), "Bearer");
        assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
        assert!(answer.body().contains("Nobody is signed in"));
        assert!(!answer.body().contains("¥"), "{path}");
    }
    for groups in ["[staff]", "[finance readers]"] {
        let stranger = Some(claims(groups));
        let answer = testbed.console(stranger, get(&day)).await;
        assert_eq!(answer.status(), 403, "{groups}");
        assert!(!answer.body().contains("¥"));
    }
    let unverified = json!({"email": "li@example.com", "cognito:groups": "[finance]"});
    let answer = testbed.console(Some(unverified), get(&day)).await;
    assert_eq!(answer.status(), 401);
    assert!(answer.body().contains("email_verified"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_not_cached_and_may_run_nothing() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let day = format!("/console/{}", testbed.day(1));
    for path in [&day, &format!("{day}?kind=other"), "/console"] {
        let answer = testbed.console(li(), get(path)).await;
        assert_eq!(header(&answer, "cache-control"), "no-store", "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(header(&answer, "referrer-policy"), "same-origin");
        let policy = header(&answer, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    let page = testbed.console(li(), get(&day)).await.into_body();
    for forbidden in ["<script", " style=", "<style", " onclick", "javascript:"] {
        assert!(!page.contains(forbidden), "{forbidden} in {page}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let style = page
        .split('"')
        .find(|text| text.contains("style.css"))
        .expect("a stylesheet");
    let style = testbed.console(li(), get(style)).await;
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
    assert!(header(&style, "cache-control").contains("immutable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_counts_only_when_a_page_of_ours_sent_it() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let day = format!("/console/{}", testbed.day(1));
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "null")],
        &[("origin", "https://pay.example.com.evil.example")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://pay.example.com"),
        ],
    ] {
        let answer = testbed
            .console(li(), from(&day, "dry_run=false", headers))
            .await;
        assert_eq!(answer.status(), 403, "{headers:?}");
        assert!(answer.body().contains("Nothing was done"));
    }
    assert!(testbed.reconcile_work().await.is_empty());
    for headers in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("origin", "https://pay.example.com")],
    ] {
        let answer = testbed
            .console(li(), from(&day, "dry_run=false", headers))
            .await;
        assert_eq!(answer.status(), 303, "{headers:?}");
        let asked_at = testbed.clock.now().0;
        assert_eq!(
            header(&answer, "location"),
            format!("{day}?done=run&at={asked_at}")
        );
    }
    assert_eq!(testbed.reconcile_work().await.len(), 2);
    let mut plain = form(&day, "dry_run=false");
    plain
        .headers_mut()
        .insert("content-type", "text/plain".parse().expect("a value"));
    assert_eq!(testbed.console(li(), plain).await.status(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_put_down_to_the_token_and_never_to_the_form() {
    let testbed = Testbed::start().await;
    testbed.a_month().await;
    let id = testbed
        .difference(DifferenceKind::DuplicatePayment, "books-0042")
        .id;
    let path = format!("/console/{}/differences/{id}", testbed.day(1));
    let approve = |version| {
        form(
            &path,
            &format!("decision=approve&why=paid+twice&version={version}&you=boss"),
        )
    };
    let answer = testbed.console(li(), approve(2)).await;
    assert_eq!(answer.status(), 303, "{}", answer.body());
    assert_eq!(header(&answer, "location"), format!("{path}?done=approve"));
    assert_eq!(header(&answer, "set-cookie"), "");
    let same = testbed.console(li(), approve(3)).await;
    assert_eq!(same.status(), 403);
    assert!(
        same.body()
            .contains("a second, different person has to approve")
    );
    assert!(
        same.body().contains("paid twice"),
        "what was written is not lost"
    );
    let stale = testbed
        .console(li(), form(&path, "decision=explain&why=x&version=1"))
        .await;
    assert_eq!(stale.status(), 409);
    assert!(stale.body().contains("Changed in the meantime"));
    let kept = testbed.reconciliation.difference(testbed.day(1), &id).await;
    let kept = kept.expect("a table").expect("the difference");
    assert_eq!(kept.state, DifferenceState::Proposed);
    assert_eq!(kept.behind_the_proposal(), ["li@example.com"]);
    let page = testbed.console(li(), get(&path)).await.into_body();
    assert!(page.contains("value=\"approve\" disabled"), "{page}");
    assert!(!page.contains("name=\"you\""));
}
