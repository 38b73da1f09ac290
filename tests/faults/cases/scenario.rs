//! Steps of a test: a client's requests and their repeats, a payer, the queues and the sweep, and
//! the time until everything is quiet.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use testbed::environment::{REQUESTS, RESULTS, WEBHOOKS, WORK};
use wechatpay_simulator::PayOptions;

use crate::{
    checks,
    engine::{
        books::{Records, text},
        client::{ApiAnswer, PendingRequest},
        deployment::Deployment,
    },
};

/// All queues that Lambda polls.
const QUEUES: [&str; 4] = [REQUESTS, RESULTS, WORK, WEBHOOKS];
/// How many times something may be due before a deployment counts as one that never becomes quiet.
const ROUNDS_MAX: u32 = 2_000;
/// How long a deployment is given to do what does not wait for a payer.
const SOON: Duration = Duration::from_secs(20 * 60);
/// Time limit of a test: WeChat Pay closes unpaid orders after seven days by itself.
const IN_THE_END: Duration = Duration::from_secs(9 * 24 * 3600);

/// A flow that runs in its deployment.
pub(crate) struct Scenario {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) pending_requests: Vec<PendingRequest>,
    pub(crate) violations: Vec<Violation>,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Violation {
    /// The check that found it.
    pub(crate) check: &'static str,
    pub(crate) found: String,
}

/// What clients asked for at the same time as something else happened, and what they were answered.
#[derive(Default)]
pub(crate) struct ConcurrentAnswers(Mutex<Vec<(PendingRequest, Option<ApiAnswer>)>>);

impl ConcurrentAnswers {
    /// A client asks for something, once.
    pub(crate) async fn ask(&self, deployment: &Deployment, request: PendingRequest) {
        let answer = deployment.ask(&request).await;
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push((request, answer));
    }
}

/// Until when things are let run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Until {
    /// Until nothing is in progress; items that wait for a payer may wait.
    Soon,
    /// Until nothing is left to be done.
    TheEnd,
}

impl Scenario {
    pub(crate) fn new(deployment: Arc<Deployment>) -> Self {
        Self {
            deployment,
            pending_requests: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Notes a violation unless `holds`.
    pub(crate) fn require(
        &mut self,
        check: &'static str,
        holds: bool,
        found: impl FnOnce() -> String,
    ) {
        if !holds {
            self.violations.push(Violation {
                check,
                found: found(),
            });
        }
    }

    /// The client asks for something, once. What has no answer that counts is asked for again when
    /// time passes. Returns the position of the request.
    pub(crate) async fn request(&mut self, request: PendingRequest) -> usize {
        self.pending_requests.push(request);
        let position = self.pending_requests.len() - 1;
        self.ask_again(position).await;
        position
    }

    async fn ask_again(&mut self, position: usize) {
        let request = self.pending_requests[position].clone();
        let name = format!("{} {}", request.method, request.path);
        let answer = self
            .deployment
            .act(name, self.deployment.ask(&request))
            .await;
        self.log_answer(&request, answer.as_ref());
        if let Some(answer) = &answer {
            checks::of_an_answer(self, &request, answer);
        }
        self.pending_requests[position].take(answer, self.deployment.clock.now_ms());
    }

    /// Takes what clients were answered while something else happened. What has no answer that
    /// counts is asked for again.
    pub(crate) fn take_answers(&mut self, asked: ConcurrentAnswers) {
        for (mut request, answer) in asked.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.log_answer(&request, answer.as_ref());
            if let Some(answer) = &answer {
                checks::of_an_answer(self, &request, answer);
            }
            request.take(answer, self.deployment.clock.now_ms());
            self.pending_requests.push(request);
        }
    }

    fn log_answer(&self, request: &PendingRequest, answer: Option<&ApiAnswer>) {
        let outcome = answer.map_or("no answer".to_owned(), |answer| {
            let state = answer.body["state"].as_str().unwrap_or_default();
            format!("{} {}{state}", answer.status, answer.code())
        });
        self.deployment.director.print(format!(
            "    {} {} -> {outcome}",
            request.method, request.path
        ));
    }

    /// What the client is shown of an order, asked for until there is an answer.
    pub(crate) async fn shown(&mut self, order_no: &str) -> ApiAnswer {
        let position = self
            .request(PendingRequest::get(format!("/v1/orders/{order_no}")))
            .await;
        self.pending_requests[position]
            .answer
            .clone()
            .expect("nothing is struck here, so the first answer counts")
    }

    /// A payer pays by the value that the client is shown.
    pub(crate) async fn pay_as_shown(&mut self, order_no: &str) {
        let shown = self.shown(order_no).await;
        let value = self
            .deployment
            .shown()
            .into_iter()
            .rev()
            .find(|shown| shown.order_no == order_no);
        let paid = match &value {
            Some(shown) => self
                .deployment
                .wechat()
                .pay(&shown.value, &PayOptions::default())
                .err()
                .map(|error| error.to_string()),
            None => Some("no value was ever shown".to_owned()),
        };
        self.deployment.director.print(format!(
            "{} the payer pays {order_no}",
            self.deployment.time()
        ));
        self.require(
            "the value that is shown can be paid with",
            paid.is_none(),
            || {
                format!(
                    "{order_no}, shown as {}: {}",
                    shown.body,
                    paid.unwrap_or_default()
                )
            },
        );
        self.deliver().await;
    }

    /// A payer pays an order by its number.
    pub(crate) async fn pay(&mut self, order_no: &str) {
        self.deployment.director.print(format!(
            "{} the payer pays {order_no}",
            self.deployment.time()
        ));
        self.deployment
            .wechat()
            .pay(order_no, &PayOptions::default())
            .expect("an order that can be paid");
        self.deliver().await;
    }

    /// The payer pays, unless that was done before.
    pub(crate) async fn pay_unless_paid(&mut self, order_no: &str) {
        if self.state(order_no) != "paid" {
            self.pay_as_shown(order_no).await;
        }
    }

    /// The state of an order (`ORDER-1`) or of a refund (`ORDER-1 R1`) in our books; `none` when
    /// there is none. Of the reconciled day it is the run's (`day`), how many parts it has (`day
    /// parts`), how many differences there are (`day differences`), or one's state (`day
    /// duplicate_payment ORDER-1`). `kept` is how many events are on record as undelivered.
    pub(crate) fn state(&self, name: &str) -> String {
        if name == "kept" {
            return self.deployment.kept().len().to_string();
        }
        let books = Records::read(&self.deployment);
        if let Some(what) = name.strip_prefix("day") {
            let day = books.days.values().next();
            return day.map_or("none".to_owned(), |day| day.state(what.trim()));
        }
        let (order_no, refund_no) = name
            .split_once(' ')
            .map_or((name, None), |(order, refund)| (order, Some(refund)));
        let Some(book) = books.orders.get(order_no) else {
            return "none".to_owned();
        };
        match refund_no {
            None => book.state().to_owned(),
            Some(refund_no) => {
                let refund = book
                    .refunds
                    .iter()
                    .find(|refund| text(refund, "refund_no") == refund_no);
                refund
                    .map_or("none", |refund| text(refund, "state"))
                    .to_owned()
            }
        }
    }

    pub(crate) fn parked_payment(&self, order_no: &str) -> String {
        let books = Records::read(&self.deployment);
        let parked = books
            .orders
            .get(order_no)
            .and_then(|book| book.payments.first());
        parked
            .map_or("none", |payment| text(payment, "transaction_id"))
            .to_owned()
    }

    /// WeChat Pay sends what is due.
    pub(crate) async fn deliver(&self) {
        self.deployment
            .act("WeChat Pay sends what is due", self.deployment.deliver())
            .await;
    }

    /// Time passes.
    pub(crate) async fn pass(&self, by: Duration) {
        self.deployment
            .act(format!("{} s pass", by.as_secs()), self.deployment.pass(by))
            .await;
    }

    /// Lambda polls every queue once. Events come into theirs as soon as there is a webhook.
    pub(crate) async fn poll(&self) -> usize {
        if self.deployment.has_webhook() {
            self.deployment.pipe();
        }
        let mut count = 0;
        for url in QUEUES {
            let name = url.rsplit('/').next().unwrap_or_default();
            count += self
                .deployment
                .act(format!("Lambda polls {name}"), self.deployment.poll(url))
                .await;
        }
        count
    }

    /// Lambda polls the queue of requests once.
    pub(crate) async fn poll_requests(&self) {
        self.deployment
            .act(
                "Lambda polls payment-requests",
                self.deployment.poll(REQUESTS),
            )
            .await;
    }

    /// Lambda polls the queue of callbacks once.
    pub(crate) async fn poll_results(&self) {
        self.deployment
            .act(
                "Lambda polls payment-results",
                self.deployment.poll(RESULTS),
            )
            .await;
    }

    /// One run of the sweep.
    pub(crate) async fn sweep(&self) {
        self.deployment
            .act("the sweep runs", self.deployment.sweep())
            .await;
    }

    /// Lets everything run by itself: WeChat Pay repeats its callbacks, the client its requests,
    /// SQS its messages, and the sweep runs in each minute in which something is due.
    pub(crate) async fn run_until_quiet(&mut self, until: Until) {
        let given = match until {
            Until::Soon => SOON,
            Until::TheEnd => IN_THE_END,
        };
        let end_ms =
            self.deployment.clock.now_ms() + i64::try_from(given.as_millis()).expect("days");
        for _ in 0..ROUNDS_MAX {
            self.deliver().await;
            self.repeat_pending().await;
            while self.poll().await > 0 {}
            let now_ms = self.deployment.clock.now_ms();
            if Records::read(&self.deployment)
                .due()
                .any(|(due_s, _)| due_s * 1000 <= now_ms)
            {
                self.sweep().await;
                self.next_minute().await;
                continue;
            }
            match self.next_ms(until) {
                Some(next_ms) if next_ms <= end_ms => {
                    let wait_ms = u64::try_from(next_ms - now_ms).unwrap_or_default();
                    self.pass(Duration::from_millis(wait_ms)).await;
                }
                Some(_) | None if self.differences_move().await => {}
                Some(_) | None => return,
            }
        }
        self.violations.push(Violation {
            check: "everything comes to rest",
            found: format!("something was due {ROUNDS_MAX} times"),
        });
    }

    /// The run of each minute copies refund states into differences, whether or not anything else
    /// is due.
    async fn differences_move(&mut self) -> bool {
        let states = |scenario: &Self| -> Vec<u64> {
            let books = Records::read(&scenario.deployment);
            let all = books.days.values().flat_map(|day| &day.differences);
            all.filter(|one| !one["refund"].is_null())
                .filter_map(|one| one["version"].as_u64())
                .collect()
        };
        let before = states(self);
        if before.is_empty() {
            return false;
        }
        self.sweep().await;
        self.next_minute().await;
        states(self) != before
    }

    /// The sweep runs once a minute.
    async fn next_minute(&self) {
        let into_ms = self.deployment.clock.now_ms() % 60_000;
        let wait_ms = u64::try_from(60_000 - into_ms).expect("less than a minute");
        // What WeChat Pay sends within the minute is sent on the way.
        self.step_by_step(Duration::from_millis(wait_ms)).await;
    }

    /// Passes time, but stops wherever WeChat Pay has something to send: it signs with its own
    /// time.
    pub(crate) async fn step_by_step(&self, by: Duration) {
        let end_ms =
            self.deployment.clock.now_ms() + i64::try_from(by.as_millis()).expect("a minute");
        while let Some(next_ms) = self.next_at_wechat_ms().filter(|next_ms| *next_ms < end_ms) {
            let wait_ms =
                u64::try_from(next_ms - self.deployment.clock.now_ms()).unwrap_or_default();
            self.pass(Duration::from_millis(wait_ms)).await;
        }
        let left_ms = u64::try_from(end_ms - self.deployment.clock.now_ms()).unwrap_or_default();
        self.pass(Duration::from_millis(left_ms)).await;
    }

    async fn repeat_pending(&mut self) {
        for position in 0..self.pending_requests.len() {
            let request = &self.pending_requests[position];
            if request.is_open() && request.again_ms <= self.deployment.clock.now_ms() {
                self.ask_again(position).await;
            }
        }
    }

    /// When something happens next, in Unix milliseconds.
    fn next_ms(&self, until: Until) -> Option<i64> {
        let pending_requests = self
            .pending_requests
            .iter()
            .filter(|request| request.is_open());
        let messages: Vec<i64> = self
            .deployment
            .cloud
            .queues()
            .waiting()
            .iter()
            .map(|(_, message)| message.visible_ms)
            .collect();
        let books = Records::read(&self.deployment);
        let due = books
            .due()
            .filter(|(_, moves)| *moves || until == Until::TheEnd);
        // The sweep runs at the next full minute.
        let due = due.map(|(due_s, _)| (due_s + 59) / 60 * 60_000);
        pending_requests
            .map(|request| request.again_ms)
            .chain(messages)
            .chain(self.next_at_wechat_ms())
            .chain(due)
            .min()
    }

    fn next_at_wechat_ms(&self) -> Option<i64> {
        let wechat = self.deployment.wechat();
        let callbacks = wechat
            .callbacks()
            .into_iter()
            .filter_map(|callback| callback.due_ms);
        let refunds = wechat
            .refunds()
            .into_iter()
            .filter_map(|refund| refund.ends.map(|end| end.at_ms));
        callbacks.chain(refunds).min()
    }
}
