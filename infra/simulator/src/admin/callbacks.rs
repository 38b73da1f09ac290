//! Callbacks: what was sent, sending again, and callbacks that are signed and not sent.

use std::sync::Arc;

use serde_json::Value;

use super::Admin;
use crate::callbacks::{Callback, CallbackStatus, Try};
use crate::notices;
use crate::notices::ManualNotice;
use crate::refund::RefundStatus;
use crate::signed_callback::{Damage, SignedCallback};
use crate::sim::MutableState;

impl Admin {
    /// All callbacks, the oldest first, with every try.
    pub fn callbacks(&self) -> Vec<Callback> {
        self.sim.world().books.callbacks.iter().cloned().collect()
    }

    /// The callbacks about one order, refund or echo, the oldest first, with every try.
    pub fn callbacks_about(&self, about: &str) -> Vec<Callback> {
        let world = self.sim.world();
        world.books.callbacks.about(about).cloned().collect()
    }

    pub fn callback(&self, id: &str) -> Option<Callback> {
        self.sim.world().books.callbacks.get(id).cloned()
    }

    /// Sends a notice that nothing in the books brings about, to the `notify_url` of the order or
    /// refund that it is about; with a manual clock at the next [`Admin::advance`]. `alter` is a
    /// merge patch over its plaintext. `None` if there is no such order or refund.
    pub fn send_notice(
        &self,
        notice: &ManualNotice,
        about: &str,
        alter: Option<&Value>,
    ) -> Option<Callback> {
        let sent = {
            let mut world = self.sim.world();
            let (books, mut tools) = world.parts(&self.sim.clock);
            let id = notices::send(books, notice, about, alter, &mut tools)?;
            books.callbacks.get(&id).cloned()
        };
        self.sim.touched();
        sent
    }

    /// Sends a callback again now, whatever its state. `None` if there is no such callback.
    pub async fn redeliver(&self, id: &str) -> Option<Try> {
        self.sim.world().books.callbacks.change(id, |callback| {
            if callback.status == CallbackStatus::Lost {
                callback.status = CallbackStatus::Waiting;
            }
            callback.due_ms = None;
            callback.fault.held = false;
        })?;
        let (sim, id) = (Arc::clone(&self.sim), id.to_owned());
        self.runtime
            .spawn(async move { sim.deliver(&id).await })
            .await
            .ok()?
    }

    /// A callback, sealed and signed now and not sent: to be handed to a handler, damaged or not.
    /// `about` is its id, or what it is about (an order, refund or echo), where the newest counts.
    /// A refund without a callback so far is reported with its state, or as `SUCCESS` while it is
    /// `PROCESSING`.
    pub fn signed_callback(&self, about: &str, damage: &Damage) -> Option<SignedCallback> {
        let (id, status) = {
            let world = self.sim.world();
            let callbacks = &world.books.callbacks;
            let newest = callbacks
                .get(about)
                .or_else(|| callbacks.about(about).next_back());
            let refund = world.books.refunds.get(about);
            (
                newest.map(|callback| callback.id.clone()),
                refund.map(|refund| refund.status),
            )
        };
        match (id, status) {
            (Some(id), _) => self.sim.signed(&id, damage),
            (None, Some(RefundStatus::Processing)) => {
                let status = RefundStatus::Success;
                self.signed_notice(&ManualNotice::Refund { status }, about, damage)
            }
            (None, Some(status)) => {
                self.signed_notice(&ManualNotice::Refund { status }, about, damage)
            }
            (None, None) => None,
        }
    }

    /// What [`Admin::send_notice`] would send, sealed and signed now and not sent.
    pub fn signed_notice(
        &self,
        notice: &ManualNotice,
        about: &str,
        damage: &Damage,
    ) -> Option<SignedCallback> {
        let callback = {
            let mut world = self.sim.world();
            let MutableState { books, ids, .. } = &mut *world;
            notices::make(books, ids, notice, about, None, self.sim.now_ms())?
        };
        self.sim.sign(&callback, damage)
    }
}
