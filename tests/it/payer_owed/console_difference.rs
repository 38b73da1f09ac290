//! A difference in the console, and what persons do with it.

use super::*;

/// The difference of one order, as staff have it before them.
pub(crate) struct ConsoleDifference<'a> {
    pub(crate) testbed: &'a Testbed,
    pub(crate) day: BillDate,
    pub(crate) id: String,
    pub(crate) order_no: &'static str,
}

/// A person with a token of the console's group.
fn claims(person: &str) -> Option<Value> {
    Some(json!({
        "email": format!("{person}@example.com"),
        "email_verified": "true",
        "cognito:groups": "[finance]",
    }))
}

impl ConsoleDifference<'_> {
    pub(super) fn path(&self) -> String {
        format!("/console/{}/differences/{}", self.day, self.id)
    }

    /// The page, as this person's browser shows it.
    pub(crate) async fn page(&self, person: &str) -> String {
        let request = Request::get(self.path()).body(String::new());
        let request = request.expect("a request");
        let page = Box::pin(self.testbed.console(claims(person), request)).await;
        assert_eq!(page.status(), 200);
        page.into_body()
    }

    /// The version in a page's form.
    pub(crate) fn version(page: &str) -> u64 {
        let (_, rest) = page
            .split_once("name=\"version\" value=\"")
            .expect("a form with its version");
        let (version, _) = rest.split_once('"').expect("a value");
        version.parse().expect("a number")
    }

    /// A person presses a button on the page of this version.
    pub(crate) async fn presses(
        &self,
        person: &str,
        (decision, why): (&str, &str),
        version: u64,
    ) -> Response<String> {
        let form = format!(
            "decision={decision}&why={}&version={version}",
            why.replace(' ', "+")
        );
        let request = Request::post(self.path())
            .header("host", "pay.example.com")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(form)
            .expect("a request");
        Box::pin(self.testbed.console(claims(person), request)).await
    }

    /// A person opens the page, finds the button there and presses it.
    pub(crate) async fn decides(&self, person: &str, decision: &str, why: &str) {
        let page = self.page(person).await;
        let button = format!("value=\"{decision}\">");
        assert!(page.contains(&button), "no button {decision} in {page}");
        let version = Self::version(&page);
        let answer = self.presses(person, (decision, why), version).await;
        let location = format!("{}?done={decision}", self.path());
        assert_eq!(answer.status(), 303, "{}", answer.body());
        assert_eq!(answer.headers()["location"], location.as_str());
    }

    /// The same, and what is decided is carried out.
    pub(super) async fn decides_and_done(&self, person: &str, decision: &str, why: &str) {
        self.decides(person, decision, why).await;
        assert_eq!(Box::pin(self.testbed.work_off_days()).await, 0);
    }

    /// Two persons redirect the refund's money to the merchant's own account.
    pub(super) async fn is_redirected(&self) {
        self.decides("li", "redirect", "the card is gone").await;
        self.decides_and_done("wang", "approve", "asked the payer")
            .await;
    }

    /// The number at WeChat Pay of the second payment's refund.
    pub(super) fn out_refund_no(&self) -> String {
        let refunds = self.testbed.wechat.admin().refunds_of(self.order_no);
        refunds[0].out_refund_no.clone()
    }

    pub(crate) async fn stands(&self) -> Difference {
        let read = self.testbed.reconciliation.difference(self.day, &self.id);
        read.await.expect("a table").expect("the difference")
    }

    /// Who is on record in the order's journal for what was said of its refund, and how the payer
    /// was paid, oldest first.
    pub(super) async fn journal(&self) -> Vec<(String, String)> {
        let path = format!("/v1/orders/{}/events", self.order_no);
        let events = Box::pin(self.testbed.get(&path)).await.body;
        let events = events["events"].as_array().expect("events");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        // The payment that it gives back has an event of its own.
        let of_the_refund = events.iter().filter(|event| event["subject"] == "refund");
        let decisions = of_the_refund.map(|event| &event["decision"]);
        decisions
            .filter(|decision| decision["what"] == "payer_paid")
            .map(|decision| (text(&decision["who"]), text(&decision["why"])))
            .collect()
    }
}
