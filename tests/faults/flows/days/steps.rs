//! What payers, operators and the clock do in these flows.

use super::*;

impl Deployment {
    /// A message comes into the queue of days.
    pub(crate) fn send_work(&self, work: &ReconcileWork) {
        let body = serde_json::to_string(work).expect("JSON");
        let now_ms = self.clock.now_ms();
        self.cloud.queues().send(WORK, body, now_ms);
    }

    /// The day's one difference, as a person sees it.
    pub(super) async fn one_difference(&self) -> Difference {
        let date = yesterday(self.clock.now());
        let page = self.days.differences(date, None, 2).await.expect("a table");
        let [one] = page.items.try_into().expect("one difference");
        one
    }

    /// A person presses a button of that page, once. The status; `None` when no answer came.
    pub(super) async fn press(
        &self,
        person: &str,
        decision: &str,
        stands: &Difference,
    ) -> Option<u16> {
        let Difference {
            date, id, version, ..
        } = stands;
        let path = format!("/console/{date}/differences/{id}");
        let form = format!("decision={decision}&why=says+{person}&version={version}");
        self.send_form(person, &path, form).await
    }
}

impl Scenario {
    pub(super) async fn paid(&mut self, order_no: &str) {
        self.request(create(order_no)).await;
        self.pay(order_no).await;
        self.poll().await;
    }

    pub(super) fn payer_pays(&self, order_no: &str) {
        let paid = self
            .deployment
            .wechat()
            .pay(order_no, &PayOptions::default());
        paid.expect("an order that can be paid");
    }

    /// Something happens to an order at WeChat Pay, and its callback is lost for good.
    pub(super) async fn in_silence(&self, happens: fn(&Self, &str), order_no: &str) {
        let wechat = self.deployment.wechat();
        let lost = wechat.add_fault(Rule::always(Fault::LostCallback));
        happens(self, order_no);
        self.deliver().await;
        wechat.clear_faults(Some(lost.expect("a rule")));
    }

    /// The approved refund of a second payment cannot be paid out, and two persons send its money
    /// to the merchant's own account.
    pub(super) async fn abnormal_refund_is_to_go_to_the_merchant(&mut self) {
        self.second_payment_is_proposed().await;
        let fails = RefundOutcome::Abnormal;
        self.deployment.wechat().set_refund_outcome(fails);
        self.approved().await;
        self.work_off_days().await;
        self.run_until_quiet(Until::Soon).await;
        let succeeds = RefundOutcome::Success;
        self.deployment.wechat().set_refund_outcome(succeeds);
        self.decided(Decision::Redirect).await;
        self.decided(Decision::Approve).await;
    }

    /// Time passes until 10:30 of the next day in Beijing: WeChat Pay has made the bill.
    pub(super) async fn until_the_bill(&self) {
        let clock = &self.deployment.clock;
        let at_s = BillDate::of(clock.now()).ends_at().0 + 10 * 3600 + 1800;
        let wait_ms = u64::try_from(at_s * 1000 - clock.now_ms()).expect("a time to come");
        self.step_by_step(Duration::from_millis(wait_ms)).await;
    }

    /// Processes the queue of days until it is empty. Nothing else happens meanwhile, so that the
    /// sweep does not find what the bill must find.
    pub(super) async fn work_off_days(&self) {
        for _ in 0..ROUNDS_MAX {
            while self.poll_work().await > 0 {}
            let next_ms = {
                let queues = self.deployment.cloud.queues();
                let messages = queues.waiting();
                let work = messages.iter().filter(|(url, _)| *url == WORK);
                work.map(|(_, message)| message.visible_ms).min()
            };
            let Some(next_ms) = next_ms else {
                return;
            };
            let wait_ms = next_ms - self.deployment.clock.now_ms();
            let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or_default());
            self.step_by_step(wait).await;
        }
    }

    /// All days since the deployment began are reconciled, one after the other, the present one
    /// last.
    pub(crate) async fn reconcile_all_days(&self) {
        let last = BillDate::of(self.deployment.clock.now());
        let mut date = BillDate::of(UnixSeconds(BEGIN_S));
        self.until_the_bill().await;
        while date <= last {
            self.deployment.send_work(&ReconcileWork::DayV1 {
                date,
                dry_run: false,
                run_id: format!("run-{date}"),
                requested_at_ms: None,
            });
            self.work_off_days().await;
            date = date.plus_days(1);
        }
    }

    pub(super) async fn poll_work(&self) -> usize {
        let poll = self.deployment.poll(WORK);
        self.deployment
            .act("Lambda polls reconcile-work", poll)
            .await
    }

    /// An order was paid twice, and a run proposes to give the second payment back.
    pub(super) async fn second_payment_is_proposed(&mut self) {
        self.paid("ORDER-1").await;
        self.money_comes_again("ORDER-1");
        self.deliver().await;
        self.poll().await;
        self.until_the_bill().await;
        self.proposed(DifferenceKind::DuplicatePayment, "ORDER-1", 100)
            .await;
    }

    /// A run has found money that is parked, and proposes to give it back.
    pub(super) async fn proposed(&self, kind: DifferenceKind, order_no: &str, fen: i64) {
        let (days, now) = (&self.deployment.days, self.deployment.clock.now());
        let about = DifferenceSubject {
            order_no: Some(order_no.to_owned()),
            transaction_id: Some(self.parked_payment(order_no)),
            ..DifferenceSubject::default()
        };
        let there = SideView {
            amount_fen: Some(fen),
            ..SideView::default()
        };
        let found = Difference::found(yesterday(now), kind, about, Some(there), None, "run-1", now);
        days.find(&found).await.expect("a table");
        let proposed = found.proposed("run-1", "to be given back", now);
        let saved = days.save_difference(&proposed).await;
        assert_eq!(saved.expect("a table"), SaveOutcome::Saved);
    }

    /// A person opens the page of the day's one difference and presses a button there until the
    /// console has answered.
    pub(super) async fn presses(&mut self, person: &str, decision: &str) {
        let stands = self.deployment.one_difference().await;
        let mut status = None;
        for _ in 0..PRESSES_MAX {
            let what = format!("{person} presses {decision} in the console");
            let press = self.deployment.press(person, decision, &stands);
            status = self.deployment.act(what, press).await;
            if status == Some(303) {
                return;
            }
        }
        self.require("the console answers", false, || {
            format!("{person}, {decision}: {status:?}")
        });
    }

    /// These persons recorded one after the other how the payer was paid, each once; the last
    /// record counts.
    pub(super) fn payer_is_said_to_be_paid_by(&mut self, persons: &[&str]) {
        let books = Records::read(&self.deployment);
        let book = &books.orders["ORDER-1"];
        let said: Vec<String> = book
            .events
            .iter()
            // The payment that it gives back has an event of its own.
            .filter(|event| text(event, "subject").starts_with("refund"))
            .filter_map(|event| OperatorDecision::of_text(text(event, "decision")))
            .filter(|decision| decision.what == RefundDecision::PayerPaid)
            .map(|decision| decision.who)
            .collect();
        let stands = text(&book.refunds[0], "payer_paid_by");
        let expected = persons.iter().map(|name| format!("{name}@example.com"));
        let fits =
            said.iter().cloned().eq(expected) && said.last().is_some_and(|last| last == stands);
        let found = format!("{said:?} said so, and {stands} is on record");
        self.require("how a payer was paid is on record once", fits, || found);
    }

    /// A person decides about each difference of the day, another one each time, and the console
    /// sends it on.
    pub(super) async fn decided(&self, decision: Decision) {
        let (days, now) = (&self.deployment.days, self.deployment.clock.now());
        let date = yesterday(now);
        let shop = ClientId::new("shop");
        let client = (decision == Decision::ProposePaid).then_some(&shop);
        let page = days.differences(date, None, 100).await.expect("a table");
        for stands in page.items {
            let person = format!("person-{}", stands.version);
            let deciding = DecisionContext {
                client,
                ..DecisionContext::default()
            };
            let decided =
                stands.decided_by_rules(decision, &deciding, &person, "looked at it", now);
            let decided = decided.expect("a decision that holds");
            let saved = days.save_difference(&decided).await;
            assert_eq!(saved.expect("a table"), SaveOutcome::Saved);
            let id = decided.id;
            self.deployment
                .send_work(&ReconcileWork::ApplyV1 { date, id });
        }
    }

    /// Two persons approve each proposal, and the console sends it.
    pub(super) async fn approved(&self) {
        let (days, now) = (&self.deployment.days, self.deployment.clock.now());
        let date = yesterday(now);
        let page = days.differences(date, None, 100).await.expect("a table");
        for mut stands in page.items {
            for person in ["li", "wang"] {
                let decided = stands.decided(Decision::Approve, person, "looked at it", now);
                stands = decided.expect("a decision that holds");
                let saved = days.save_difference(&stands).await;
                assert_eq!(saved.expect("a table"), SaveOutcome::Saved);
            }
            let id = stands.id;
            self.deployment
                .send_work(&ReconcileWork::ApplyV1 { date, id });
        }
    }
}

pub(super) fn yesterday(now: UnixSeconds) -> BillDate {
    BillDate::of(now).plus_days(-1)
}
