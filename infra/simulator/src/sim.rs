//! The simulator's shared state and the work that is due by time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    bills::download::Download,
    books::{BookContext, Store},
    callbacks::{Callback, CallbackStatus, MessageContext, NoticeFormat, Try},
    clock::Clock,
    config::Log,
    credentials::Credentials,
    endpoint::Endpoint,
    ids::Ids,
    keys::Keyring,
    post,
    quota::Quotas,
    rules::Faults,
    signed_callback::{Damage, SignedCallback},
    v2_notice,
};

/// Real time that a receiver has for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What everything in the simulator shares.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) merchant: Account,
    /// Where it listens.
    pub(crate) base_url: String,
    /// What links begin with instead of the address of the request.
    pub(crate) public_url: Option<String>,
    credentials: Mutex<Arc<Credentials>>,
    pub(crate) platform_certificates: bool,
    pub(crate) refund_takes_ms: i64,
    pub(crate) log: Option<Log>,
    world: Mutex<MutableState>,
    /// Wakes the worker: something new may be due.
    pub(crate) wake: Notify,
    /// Wakes the writer of the state file.
    pub(crate) changed: Notify,
    pub(crate) unsaved: AtomicBool,
}

/// The merchant as it is registered at WeChat Pay.
pub(crate) struct Account {
    pub(crate) mchid: String,
    pub(crate) appids: Vec<String>,
}

/// What changes.
pub(crate) struct MutableState {
    pub(crate) books: Store,
    pub(crate) keys: Keyring,
    pub(crate) ids: Ids,
    pub(crate) faults: Faults,
    pub(crate) requests: BTreeMap<Endpoint, u64>,
    /// How many right signatures named each of the merchant's certificates.
    pub(crate) signed_by: BTreeMap<String, u64>,
    /// Requests whose answer was a probe: their repeats are not probed.
    pub(crate) probed: BTreeSet<Vec<u8>>,
    /// Links to bill files that are still good.
    pub(crate) downloads: BTreeMap<String, Download>,
    pub(crate) bills_of_today: bool,
    pub(crate) quotas: Quotas,
}

impl MutableState {
    /// The books, and beside them what they need to act.
    pub(crate) fn parts<'a>(&'a mut self, clock: &'a Clock) -> (&'a mut Store, BookContext<'a>) {
        let tools = BookContext {
            clock,
            ids: &mut self.ids,
            faults: &mut self.faults,
        };
        (&mut self.books, tools)
    }
}

/// The fixed parts of a [`Shared`].
pub(crate) struct Constants {
    pub(crate) clock: Clock,
    pub(crate) merchant: Account,
    pub(crate) credentials: Credentials,
    pub(crate) base_url: String,
    pub(crate) public_url: Option<String>,
    pub(crate) platform_certificates: bool,
    pub(crate) refund_takes_ms: i64,
    pub(crate) log: Option<Log>,
}

impl Shared {
    pub(crate) fn new(fixed: Constants, world: MutableState) -> Self {
        Self {
            clock: fixed.clock,
            merchant: fixed.merchant,
            base_url: fixed.base_url,
            public_url: fixed.public_url,
            credentials: Mutex::new(Arc::new(fixed.credentials)),
            platform_certificates: fixed.platform_certificates,
            refund_takes_ms: fixed.refund_takes_ms,
            log: fixed.log,
            world: Mutex::new(world),
            wake: Notify::new(),
            changed: Notify::new(),
            unsaved: AtomicBool::new(true),
        }
    }

    /// Nothing panics while it holds the lock, and if something did, the books are still whole
    /// between two statements.
    pub(crate) fn world(&self) -> MutexGuard<'_, MutableState> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The merchant's certificates and keys at the moment.
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.lock_credentials())
    }

    pub(crate) fn lock_credentials(&self) -> MutexGuard<'_, Arc<Credentials>> {
        let lock = self.credentials.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// To be called after each change of the books.
    pub(crate) fn touched(&self) {
        self.unsaved.store(true, Ordering::SeqCst);
        self.wake.notify_one();
        self.changed.notify_one();
    }

    pub(crate) fn log(&self, line: &str) {
        if let Some(log) = &self.log {
            log.line(line);
        }
    }

    /// Signs one message for a callback of the books.
    pub(crate) fn signed(&self, id: &str, damage: &Damage) -> Option<SignedCallback> {
        let callback = {
            let mut world = self.world();
            let mut callback = world.books.callbacks.get(id)?.clone();
            if callback.fault.renamed {
                callback.id = world.ids.try_id();
            }
            callback
        };
        self.sign(&callback, damage)
    }

    /// Signs one message with the newest key of the configured mode.
    pub(crate) fn sign(&self, callback: &Callback, damage: &Damage) -> Option<SignedCallback> {
        let apiv2_key;
        let credentials = self.credentials();
        let sender = {
            let mut world = self.world();
            apiv2_key = world.books.settings.apiv2_key.clone();
            MessageContext {
                key: world.keys.newest(credentials.signing_mode)?.clone(),
                apiv3_key: &credentials.apiv3_key,
                apiv2_key: &apiv2_key,
                now_ms: self.now_ms(),
                gcm_nonce: world.ids.gcm_nonce(),
                nonce: world.ids.nonce(),
                request_id: world.ids.request_id(),
            }
        };
        sender.message(callback, damage)
    }

    /// Tries to deliver a callback once (all copies at once), and plans the next try if it fails.
    pub(crate) async fn deliver(self: &Arc<Self>, id: &str) -> Option<Try> {
        let (copies, probe, format) = self.world().books.callbacks.change(id, |callback| {
            callback.rounds = callback.rounds.saturating_add(1);
            let copies = std::mem::take(&mut callback.fault.more_copies).saturating_add(1);
            let probe = std::mem::take(&mut callback.fault.probe);
            (copies, probe, callback.format)
        })?;
        let damage = if probe { Damage::Probe } else { Damage::None };
        let at_ms = self.now_ms();
        let posts: Vec<_> = (0..copies)
            .filter_map(|_| self.signed(id, &damage))
            .map(|message| tokio::spawn(async move { post::send(&message, ANSWER_WITHIN).await }))
            .collect();
        let mut tries = Vec::new();
        for post in posts {
            let answer = post
                .await
                .unwrap_or_else(|_| Err("the simulator is stopping".to_owned()));
            tries.push(outcome(at_ms, probe, format, answer));
        }
        self.record(id, tries)
    }

    fn record(&self, id: &str, tries: Vec<Try>) -> Option<Try> {
        let best = tries
            .iter()
            .find(|one| one.is_success())
            .or(tries.first())?
            .clone();
        let line = {
            let mut world = self.world();
            let now_ms = self.now_ms();
            let line = world.books.callbacks.change(id, |callback| {
                self.plan_next(callback, tries, &best, now_ms);
                let outcome = match (&best.status, &best.failure) {
                    (Some(status), None) => format!("answered {status}"),
                    (Some(status), Some(failure)) => format!("answered {status}, {failure}"),
                    (None, failure) => failure.clone().unwrap_or_default(),
                };
                let next = callback.due_ms.map(|due_ms| due_ms.saturating_sub(now_ms));
                let next = next.map_or(String::new(), |ms| format!(", again in {ms} ms"));
                format!(
                    "callback {} {} -> {}: {outcome}{next}",
                    callback.event_type, callback.about, callback.url
                )
            })?;
            world.books.callbacks.release_held(id, now_ms);
            line
        };
        self.log(&line);
        self.touched();
        Some(best)
    }

    /// Writes down the tries of one round, and when the next one is.
    fn plan_next(&self, callback: &mut Callback, tries: Vec<Try>, best: &Try, now_ms: i64) {
        callback.tries.extend(tries);
        if best.is_success() {
            callback.status = CallbackStatus::Delivered;
            callback.due_ms = None;
        } else if callback.status != CallbackStatus::Delivered {
            match callback.wait_ms() {
                Some(wait_ms) => {
                    callback.due_ms = Some(now_ms.saturating_add(self.clock.sped_up(wait_ms)));
                }
                None => callback.status = CallbackStatus::GivenUp,
            }
        }
    }

    /// Books the money and ends the refunds whose time has come, and takes the callbacks that are
    /// due.
    pub(crate) fn take_due(&self) -> Vec<String> {
        let now_ms = self.now_ms();
        let mut world = self.world();
        let (books, mut tools) = world.parts(&self.clock);
        if books.next_due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            // While the books are locked: a result that was read from the books is then also in the
            // file if the simulator is stopped.
            self.unsaved.store(true, Ordering::SeqCst);
            self.changed.notify_one();
        }
        books.ledger.book_due(tools.ids, now_ms);
        books.end_due_refunds(&mut tools);
        books.callbacks.take_due(now_ms)
    }

    /// Follows the system clock: delivers what is due, each callback on its own.
    pub(crate) async fn work(self: Arc<Self>) {
        loop {
            for id in self.take_due() {
                let sim = Arc::clone(&self);
                tokio::spawn(async move { sim.deliver(&id).await });
            }
            let next_ms = self.world().books.next_due_ms();
            let wait_ms = next_ms.map_or(i64::MAX, |next_ms| next_ms.saturating_sub(self.now_ms()));
            // An hour at most, lest a changed system clock leave it asleep.
            let wait_ms = u64::try_from(wait_ms).unwrap_or(0).min(3_600_000);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Moves a manual clock to `target_ms`, stopping at each moment where something is due.
    /// Callbacks of one moment are delivered one after the other, in their order.
    pub(crate) async fn advance_to(self: &Arc<Self>, target_ms: i64) {
        loop {
            for id in self.take_due() {
                self.deliver(&id).await;
            }
            let next_ms = self.world().books.next_due_ms();
            match next_ms.filter(|next_ms| *next_ms <= target_ms) {
                Some(next_ms) => self.clock.move_to(next_ms),
                None => break,
            }
        }
        self.clock.move_to(target_ms);
    }
}

/// One try by what was answered. A v2 notice needs an explicit `return_code` SUCCESS.
fn outcome(
    at_ms: i64,
    probe: bool,
    format: NoticeFormat,
    answer: Result<post::ReceiverAnswer, String>,
) -> Try {
    let (status, failure) = match answer {
        Ok(answer)
            if format == NoticeFormat::V2Xml
                && !v2_notice::is_taken(answer.status, &answer.body) =>
        {
            let lacks = "a v2 notice wants <return_code>SUCCESS</return_code>".to_owned();
            (Some(answer.status), Some(lacks))
        }
        Ok(answer) => (Some(answer.status), None),
        Err(failure) => (None, Some(failure)),
    };
    Try {
        at_ms,
        probe,
        status,
        failure,
    }
}
