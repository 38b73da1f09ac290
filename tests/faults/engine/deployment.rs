//! The deployment of a scenario: one merchant and one client, the tables and queues, WeChat Pay,
//! and the functions.
//! Everything in it is new, and its clock begins at the same second each time.

mod invocations;
mod set_up;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use runtime::{clock::Clock, random::Random};
use serde_json::Value;
use stores::{keys_table::KeysTable, reconciliation::ReconciliationTable};
use testbed::{NOW, Tables, environment::WEBHOOKS};
use tokio::task::JoinHandle;
use wechatpay_simulator::{Admin, Running};

use crate::{
    engine::{
        books::Records,
        client::Client,
        cloud::Cloud,
        director::CallScheduler,
        exchanges::Exchanges,
        pipe,
        receiver::Receiver,
        sandbox::{Sandbox, Site},
    },
    previous::Rollout,
};

/// When each deployment begins: noon of 1 August 2026 in Beijing.
pub(crate) const BEGIN_S: i64 = NOW.0;

/// A deployment, and what was seen of it.
pub(crate) struct Deployment {
    /// The deployment's own clock. A sandbox may be ahead of it or behind.
    pub(crate) clock: Clock,
    pub(crate) director: CallScheduler,
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) exchanges: Arc<Exchanges>,
    /// The client's system that webhooks go to.
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) tables: Tables,
    keys: KeysTable,
    /// The records of reconciled days, as the operators' console uses them.
    pub(crate) days: ReconciliationTable,
    pub(crate) client: Client,
    pub(crate) random: Random,
    /// Where WeChat Pay sends its callbacks.
    pub(crate) notify_url: String,
    wechat: Running,
    site: Site,
    pub(crate) rollout: Rollout,
    state: Mutex<Observed>,
    /// What was read of the tables, after so many writes.
    records: Mutex<Option<(u64, Arc<Records>)>>,
    listening: OnceLock<JoinHandle<()>>,
}

/// The state of a test while it runs.
#[derive(Default)]
struct Observed {
    idle: Vec<Sandbox>,
    /// How far the clocks of sandboxes to come are ahead, in milliseconds; the last one goes on for
    /// all further.
    ahead_ms: Vec<i64>,
    simulated_ms: i64,
    callbacks: Vec<CallbackAnswer>,
    shown: Vec<ShownPrepay>,
    /// Whether the client ever had a webhook set up.
    has_webhook: bool,
    /// Whether any sandbox died in the middle of its work.
    has_died: bool,
    /// How many records of the stream the pipe has taken.
    piped: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct CallbackAnswer {
    /// The notice's id.
    pub(crate) id: String,
    /// Whether it was acknowledged.
    pub(crate) acknowledged: bool,
}

/// A prepay value that a client was given.
#[derive(Clone, Debug)]
pub(crate) struct ShownPrepay {
    pub(crate) order_no: String,
    pub(crate) value: String,
    /// Until when it is to work, as its client was answered; Unix milliseconds.
    pub(crate) until_ms: i64,
}

/// How messages are taken from a queue.
#[derive(Clone, Debug)]
pub(crate) struct Poll {
    /// How many at most.
    pub(crate) most: usize,
    /// Whether another may receive them at the same time.
    pub(crate) again: bool,
    /// Whether the newest comes first.
    pub(crate) backwards: bool,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            most: 10,
            again: false,
            backwards: false,
        }
    }
}
impl Deployment {
    /// WeChat Pay's own side.
    pub(crate) fn wechat(&self) -> &Admin {
        self.wechat.admin()
    }

    /// Whether any sandbox died in the middle of its work.
    pub(crate) fn has_died(&self) -> bool {
        self.state().has_died
    }

    /// How far the clocks of the sandboxes to come are ahead of the deployment's, in milliseconds;
    /// the last one goes on.
    pub(crate) fn skew(&self, ahead_ms: Vec<i64>) {
        self.state().ahead_ms = ahead_ms;
    }

    /// Functions are deployed with another setting.
    pub(crate) fn deploy_with(&self, name: &str, value: &str) {
        let mut environment = self.site.environment.lock().expect("no panic");
        environment.insert(name.to_owned(), value.to_owned());
        drop(environment);
        self.recycle();
    }

    /// All sandboxes that are idle are gone, as they are after a while or a deployment.
    pub(crate) fn recycle(&self) {
        self.state().idle.clear();
    }

    /// A person sets the client's webhook up, or up again.
    pub(crate) async fn set_up_webhook(&self) {
        let (url, secret) = (Receiver::url(), Receiver::secret());
        let secret = (!self.has_webhook()).then_some(&secret);
        let written = self.keys.change_webhook("shop", Some(&url), secret).await;
        written.expect("a webhook");
        self.state().has_webhook = true;
    }

    /// Whether the client ever had a webhook.
    pub(crate) fn has_webhook(&self) -> bool {
        self.state().has_webhook
    }

    /// Whether the client's webhook is disabled.
    pub(crate) async fn webhook_is_disabled(&self) -> bool {
        let state = self.keys.webhook_state("shop").await.expect("read");
        state.expect("a webhook").disabled.is_some()
    }

    /// The Pipe, the bus and its rule bring what is new in the stream into the queue of webhooks.
    pub(crate) fn pipe(&self) {
        let records = self.cloud.stream(&self.tables.orders);
        let piped = std::mem::replace(&mut self.state().piped, records.len());
        let pipe = pipe::pipe();
        let new = records.iter().skip(piped);
        for record in new.filter(|record| pipe.passes(record)) {
            let event = pipe.event(record).to_string();
            self.cloud
                .queues()
                .send(WEBHOOKS, event, self.clock.now_ms());
        }
    }

    /// The ids of the events that are on record as undelivered.
    pub(crate) fn kept(&self) -> Vec<String> {
        let kept = self.cloud.scan(&self.tables.undelivered_events);
        let events = kept.iter().map(|item| {
            let event = item["event"]["S"].as_str().expect("an event");
            webhook_id(&serde_json::from_str(event).expect("JSON"))
        });
        events.collect()
    }

    /// Time passes; WeChat Pay's callbacks until then arrive at their times.
    pub(crate) async fn pass(&self, by: Duration) {
        self.clock.advance(by);
        self.deliver().await;
    }

    /// WeChat Pay's clock catches up, and the callbacks that are due go out.
    pub(crate) async fn deliver(&self) {
        let behind_ms = {
            let mut state = self.state();
            let behind_ms = self.clock.now_ms() - state.simulated_ms;
            state.simulated_ms += behind_ms;
            u64::try_from(behind_ms).expect("time passes forward")
        };
        self.wechat()
            .advance(Duration::from_millis(behind_ms))
            .await;
    }

    /// Runs `work` with its calls taking turns.
    pub(crate) async fn act<T>(&self, what: impl Into<String>, work: impl Future<Output = T>) -> T {
        self.director
            .print(format!("{} {}", self.time(), what.into()));
        self.director.run(work).await
    }

    /// The deployment's time as `+00:01:02.345` since its beginning.
    pub(crate) fn time(&self) -> String {
        let ms = self.clock.now_ms() - BEGIN_S * 1000;
        let (s, ms) = (ms / 1000, ms % 1000);
        format!("+{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
    }

    /// The callbacks that were answered so far.
    pub(crate) fn received(&self) -> Vec<CallbackAnswer> {
        self.state().callbacks.clone()
    }

    /// The prepay values that the client was given so far.
    pub(crate) fn shown(&self) -> Vec<ShownPrepay> {
        self.state().shown.clone()
    }

    /// What `read` gave after the last write to the tables.
    pub(crate) fn records(&self, read: impl FnOnce() -> Records) -> Arc<Records> {
        let mut kept = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = self.cloud.writes();
        match &*kept {
            Some((of, records)) if *of == writes => Arc::clone(records),
            Some(_) | None => {
                let records = Arc::new(read());
                *kept = Some((writes, Arc::clone(&records)));
                records
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, Observed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get() {
            listening.abort();
        }
    }
}

/// The id under which a receiver gets an event: its order's number and version.
pub(crate) fn webhook_id(event: &Value) -> String {
    let version = &event["version"];
    let version = version.as_str().map_or(version.to_string(), str::to_owned);
    let order_no = event["order_no"].as_str().unwrap_or_default();
    format!("{order_no}_{version}")
}
