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
    api::bills::Download,
    books::{Books, Tools},
    callbacks::{CallbackStatus, Damage, Sender, SignedCallback, Try},
    clock::Clock,
    config::{Log, SigningMode},
    endpoint::Endpoint,
    faults::Faults,
    ids::Ids,
    keys::{Keyring, MerchantKey},
    post,
};

/// Real time that a receiver has for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What everything in the simulator shares.
pub(crate) struct Sim {
    pub(crate) clock: Clock,
    pub(crate) merchant: Account,
    pub(crate) base_url: String,
    pub(crate) signing_mode: SigningMode,
    pub(crate) platform_certificates: bool,
    pub(crate) refund_takes_ms: i64,
    pub(crate) log: Option<Log>,
    world: Mutex<World>,
    /// Wakes the worker: something new may be due.
    pub(crate) wake: Notify,
    /// Wakes the writer of the state file.
    pub(crate) changed: Notify,
    pub(crate) unsaved: AtomicBool,
}

/// The merchant as WeChat Pay knows it.
pub(crate) struct Account {
    pub(crate) mchid: String,
    pub(crate) appids: Vec<String>,
    pub(crate) serial: String,
    pub(crate) key: MerchantKey,
    pub(crate) apiv3_key: String,
}

/// What changes.
pub(crate) struct World {
    pub(crate) books: Books,
    pub(crate) keys: Keyring,
    pub(crate) ids: Ids,
    pub(crate) faults: Faults,
    pub(crate) requests: BTreeMap<Endpoint, u64>,
    /// Requests whose answer was a probe: their repeats are not probed.
    pub(crate) probed: BTreeSet<Vec<u8>>,
    /// Links to bill files that are still good.
    pub(crate) downloads: BTreeMap<String, Download>,
    pub(crate) bills_of_today: bool,
}

impl World {
    /// The books, and beside them what they need to act.
    pub(crate) fn parts<'a>(&'a mut self, clock: &'a Clock) -> (&'a mut Books, Tools<'a>) {
        let tools = Tools {
            clock,
            ids: &mut self.ids,
            faults: &mut self.faults,
        };
        (&mut self.books, tools)
    }
}

/// The fixed parts of a [`Sim`].
pub(crate) struct Fixed {
    pub(crate) clock: Clock,
    pub(crate) merchant: Account,
    pub(crate) base_url: String,
    pub(crate) signing_mode: SigningMode,
    pub(crate) platform_certificates: bool,
    pub(crate) refund_takes_ms: i64,
    pub(crate) log: Option<Log>,
}

impl Sim {
    pub(crate) fn new(fixed: Fixed, world: World) -> Self {
        Self {
            clock: fixed.clock,
            merchant: fixed.merchant,
            base_url: fixed.base_url,
            signing_mode: fixed.signing_mode,
            platform_certificates: fixed.platform_certificates,
            refund_takes_ms: fixed.refund_takes_ms,
            log: fixed.log,
            world: Mutex::new(world),
            wake: Notify::new(),
            changed: Notify::new(),
            unsaved: AtomicBool::new(true),
        }
    }

    /// Nothing panics while it holds the lock, and if something did, the books are still whole between two statements.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Signs one message for a callback with the newest key of the configured mode.
    pub(crate) fn signed(&self, id: &str, damage: &Damage) -> Option<SignedCallback> {
        let (callback, sender) = {
            let mut world = self.world();
            let callback = world.books.callback_mut(id)?.clone();
            let sender = Sender {
                key: world.keys.newest(self.signing_mode)?.clone(),
                apiv3_key: &self.merchant.apiv3_key,
                now_ms: self.now_ms(),
                gcm_nonce: world.ids.gcm_nonce(),
                nonce: world.ids.nonce(),
                request_id: world.ids.request_id(),
            };
            (callback, sender)
        };
        sender.message(&callback, damage)
    }

    /// Tries to deliver a callback once (all copies at once), and plans the next try if it fails.
    pub(crate) async fn deliver(self: &Arc<Self>, id: &str) -> Option<Try> {
        let (copies, probe) = {
            let mut world = self.world();
            let callback = world.books.callback_mut(id)?;
            callback.rounds = callback.rounds.saturating_add(1);
            let copies = std::mem::take(&mut callback.misfortune.more_copies).saturating_add(1);
            (copies, std::mem::take(&mut callback.misfortune.probe))
        };
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
            tries.push(Try {
                at_ms,
                probe,
                status: answer.as_ref().ok().copied(),
                failure: answer.err(),
            });
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
            let callback = world.books.callback_mut(id)?;
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
            let outcome = match (&best.status, &best.failure) {
                (Some(status), _) => format!("answered {status}"),
                (None, failure) => failure.clone().unwrap_or_default(),
            };
            let next = callback.due_ms.map(|due_ms| due_ms.saturating_sub(now_ms));
            let next = next.map_or(String::new(), |ms| format!(", again in {ms} ms"));
            let line = format!(
                "callback {} {} -> {}: {outcome}{next}",
                callback.event_type, callback.about, callback.url
            );
            world.books.release_held(id, now_ms);
            line
        };
        self.log(&line);
        self.touched();
        Some(best)
    }

    /// Ends the refunds whose time has come and takes the callbacks that are due.
    pub(crate) fn take_due(&self) -> Vec<String> {
        let now_ms = self.now_ms();
        let mut world = self.world();
        let (books, mut tools) = world.parts(&self.clock);
        books.end_due_refunds(&mut tools);
        books.take_due_callbacks(now_ms)
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

    /// Moves a manual clock to `target_ms`, stopping at each moment where something is due. Callbacks of one moment
    /// are delivered one after the other, in their order.
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
