//! What runs without a client: the queues' function, the sweep and the check of certificates.

use std::sync::Arc;

use flows::sqs_event::SqsBatch;
use reconcile::handler;
use serde_json::Value;
use stores::{order_table::TableError, queues::Queue};
use testbed::{
    Fault, Match,
    environment::{REQUESTS, RESULTS, WEBHOOKS, WORK},
};

use super::{Testbed, queues};

impl Testbed {
    /// Sends a message of the results queue again, as `cargo client notices redrive` does.
    pub(crate) async fn redrive(&self, message: &str) {
        Queue::new(self.queues.client(), RESULTS)
            .redrive(
                message,
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .await
            .expect("a message");
    }

    /// Processes both queues until they are empty or every message left has failed. Returns how
    /// many failed.
    pub(crate) async fn work_off(&self) -> usize {
        self.queues
            .work_off(&self.process_payment, &self.clock)
            .await
    }

    /// Lambda hands over what the results queue holds, and the function crashes at its first call.
    /// Later the queue shows it again. Returns the number of these messages.
    pub(crate) async fn crash_over_results(&self) -> usize {
        let app = &self.process_payment;
        self.wire.break_next(Match::any(), Fault::DieBefore);
        let crashes = async |batch| {
            let deadline_ms = self.clock.now_ms() + 30_000;
            let works = process_payment::handler::process(app, batch, deadline_ms);
            let lived = self.wire.run_until_crash(works).await;
            assert!(lived.is_none(), "no call was made");
        };
        let count = self.queues.hand_over_and_leave(RESULTS, crashes).await;
        self.wire.mend();
        count
    }

    /// The queue's ids of the messages that the results queue holds.
    pub(crate) async fn result_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let inspect = async |batch: SqsBatch| {
            ids.extend(batch.records.into_iter().map(|record| record.message_id));
        };
        self.queues.hand_over_and_leave(RESULTS, inspect).await;
        ids
    }

    /// The function that works off the queues.
    pub(crate) fn process_payment(&self) -> Arc<process_payment::app::App> {
        Arc::clone(&self.process_payment)
    }

    /// Hands one batch of these bodies to `process-payment`, with this much time left. Returns the
    /// positions that failed.
    pub(crate) async fn process_batch(&self, bodies: &[String], left_ms: i64) -> Vec<usize> {
        queues::process_batch(&self.process_payment, &self.clock, bodies, left_ms).await
    }

    /// Puts a message into the results queue, as an attacker with access to it could.
    pub(crate) async fn forge_result(&self, body: &str) {
        self.queues.send(RESULTS, body);
    }

    /// The same for the requests queue.
    pub(crate) async fn forge_request(&self, body: &str) {
        self.queues.send(REQUESTS, body);
    }

    /// The same for the queue of days.
    pub(crate) async fn forge_work(&self, body: &str) {
        self.queues.send(WORK, body);
    }

    /// What the dead-letter queues hold: of requests and of results, each sorted.
    pub(crate) async fn dead_letters(&self) -> [Vec<String>; 2] {
        [
            self.queues.dead_letters(REQUESTS),
            self.queues.dead_letters(RESULTS),
        ]
    }

    /// One run of the sweep, as Lambda sees its result.
    pub(crate) async fn try_sweep(&self) -> Result<handler::Output, TableError> {
        let deadline_ms = self.clock.now_ms() + 60_000;
        let event = handler::Input::Task(handler::Task::Sweep);
        handler::run(&self.reconcile, event, deadline_ms).await
    }

    /// One run of the sweep.
    pub(crate) async fn sweep(&self) -> reconcile::SweepReport {
        match self.try_sweep().await {
            Ok(handler::Output::Sweep(report)) => report,
            other => panic!("not a sweep: {other:?}"),
        }
    }

    /// One run of the certificate check.
    pub(crate) async fn certificates(&self) -> reconcile::RefreshOutcome {
        let deadline_ms = self.clock.now_ms() + 60_000;
        let event = handler::Input::Task(handler::Task::Certificates);
        match handler::run(&self.reconcile, event, deadline_ms).await {
            Ok(handler::Output::Certificates(refreshed)) => refreshed,
            other => panic!("not a check of certificates: {other:?}"),
        }
    }

    /// What the queue of requests holds. It stays there, hidden for a while.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let bodies = self.queues.bodies(REQUESTS);
        bodies.iter().map(Value::to_string).collect()
    }

    /// The `traceparent` and `tracestate` of what the queues of requests and of results hold.
    pub(crate) fn traces(&self) -> [Vec<(String, Option<String>)>; 2] {
        [REQUESTS, RESULTS].map(|url| self.queues.traces(url))
    }

    /// All payment requests are lost.
    pub(crate) fn drop_requests(&self) {
        self.queues.purge(REQUESTS);
    }

    /// What went into the queue of webhooks.
    pub(crate) async fn webhooks(&self) -> Vec<Value> {
        self.queues.bodies(WEBHOOKS)
    }
}
