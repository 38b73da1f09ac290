//! All callbacks, found by id, by what they are about and by the moment at which they are due.
//!
//! The state file stores them as a plain list; the indexes are built again when it is read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::callbacks::{Callback, CallbackStatus};

/// The callbacks, the oldest first. A place in the list never changes.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(from = "Vec<Callback>", into = "Vec<Callback>")]
pub(crate) struct Outbox {
    list: Vec<Callback>,
    by_id: BTreeMap<String, usize>,
    by_about: BTreeMap<String, Vec<usize>>,
    due: BTreeSet<(i64, usize)>,
    /// Held back until a later one has gone out.
    held: BTreeSet<usize>,
    /// Places of those that changed since they were last written.
    changed: BTreeSet<usize>,
}

impl From<Vec<Callback>> for Outbox {
    fn from(stored: Vec<Callback>) -> Self {
        let mut outbox = Self::default();
        for callback in stored {
            outbox.push(callback);
        }
        outbox.forget_changes();
        outbox
    }
}

impl From<Outbox> for Vec<Callback> {
    fn from(outbox: Outbox) -> Self {
        outbox.list
    }
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Callback> {
        self.list.iter()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Callback> {
        self.by_id.get(id).and_then(|at| self.list.get(*at))
    }

    /// Those about one order, refund or echo, the oldest first.
    pub(crate) fn about(&self, about: &str) -> impl DoubleEndedIterator<Item = &Callback> {
        self.by_about
            .get(about)
            .into_iter()
            .flatten()
            .filter_map(|at| self.list.get(*at))
    }

    pub(crate) fn push(&mut self, callback: Callback) {
        let at = self.list.len();
        self.by_id.insert(callback.id.clone(), at);
        self.by_about
            .entry(callback.about.clone())
            .or_default()
            .push(at);
        self.index(at, &callback);
        self.changed.insert(at);
        self.list.push(callback);
    }

    /// A callback that is new, or in the place of what it was. `None` if there is no such place.
    pub(crate) fn put(&mut self, at: usize, callback: Callback) -> Option<()> {
        if at == self.list.len() {
            self.push(callback);
            return Some(());
        }
        self.change_at(at, |known| *known = callback)
    }

    /// Those that changed since the last time, with their places.
    pub(crate) fn take_changes(&mut self) -> Vec<(usize, Callback)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed
            .filter_map(|at| Some((at, self.list.get(at)?.clone())))
            .collect()
    }

    /// All are written as they are now.
    pub(crate) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    fn index(&mut self, at: usize, callback: &Callback) {
        if let Some(due_ms) = callback.due_ms {
            self.due.insert((due_ms, at));
        }
        if callback.is_held() {
            self.held.insert(at);
        }
    }

    /// Changes a callback's standing; its id and what it is about stay as they are.
    pub(crate) fn change<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Callback) -> T,
    ) -> Option<T> {
        let at = *self.by_id.get(id)?;
        self.change_at(at, change)
    }

    fn change_at<T>(&mut self, at: usize, change: impl FnOnce(&mut Callback) -> T) -> Option<T> {
        let callback = self.list.get_mut(at)?;
        self.changed.insert(at);
        if let Some(due_ms) = callback.due_ms {
            self.due.remove(&(due_ms, at));
        }
        self.held.remove(&at);
        let outcome = change(callback);
        if let Some(due_ms) = callback.due_ms {
            self.due.insert((due_ms, at));
        }
        if callback.is_held() {
            self.held.insert(at);
        }
        Some(outcome)
    }

    /// After a restart: what was on its way is tried again.
    pub(crate) fn resume(&mut self, now_ms: i64) {
        let under_way: Vec<usize> = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, callback)| {
                callback.status == CallbackStatus::Waiting && callback.due_ms.is_none()
            })
            .map(|(at, _)| at)
            .collect();
        for at in under_way {
            self.change_at(at, |callback| callback.due_ms = Some(now_ms));
        }
    }

    /// The next moment at which one is due.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Takes those that are due, the one that waits longest first, and marks them as on their way.
    pub(crate) fn take_due(&mut self, now_ms: i64) -> Vec<String> {
        let mut taken = Vec::new();
        while let Some((due_ms, at)) = self.due.first().copied()
            && due_ms <= now_ms
        {
            taken.extend(self.change_at(at, |callback| {
                callback.due_ms = None;
                callback.fault.held = false;
                callback.id.clone()
            }));
        }
        taken
    }

    /// Releases those that were held back for this one.
    pub(crate) fn release_held(&mut self, went_out: &str, now_ms: i64) {
        let Some(went_out) = self.by_id.get(went_out).copied() else {
            return;
        };
        let earlier: Vec<usize> = self.held.range(..went_out).copied().collect();
        for at in earlier {
            self.change_at(at, |callback| {
                callback.fault.held = false;
                callback.due_ms = Some(now_ms);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        callbacks::{self, CallbackContent, NoticeFormat},
        ids::Ids,
    };

    fn callback(ids: &mut Ids, about: &str, due_ms: i64) -> Callback {
        let news = CallbackContent {
            about,
            event: ("TRANSACTION.SUCCESS", "transaction", ""),
            url: "",
            plaintext: json!({}),
            format: NoticeFormat::V3,
        };
        callbacks::new(ids, news, due_ms)
    }

    #[test]
    fn a_callback_that_was_under_way_when_the_simulator_stopped_is_tried_again() {
        let mut ids = Ids::new(1);
        let mut outbox = Outbox::default();
        for status in [
            CallbackStatus::Waiting,
            CallbackStatus::Delivered,
            CallbackStatus::Lost,
        ] {
            let mut callback = callback(&mut ids, "ORDER-1001", 5);
            callback.due_ms = None;
            callback.status = status;
            outbox.push(callback);
        }
        outbox.resume(7);
        let due: Vec<Option<i64>> = outbox.iter().map(|callback| callback.due_ms).collect();
        assert_eq!(due, [Some(7), None, None]);
        assert_eq!(outbox.next_due_ms(), Some(7));
    }

    #[test]
    fn what_is_due_is_taken_once_and_the_longest_waiting_first() {
        let mut ids = Ids::new(1);
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for due_ms in [30, 10, 20, 40] {
            let callback = callback(&mut ids, "ORDER-1001", due_ms);
            expected.push((due_ms, callback.id.clone()));
            outbox.push(callback);
        }
        expected.sort();
        let expected: Vec<String> = expected.into_iter().map(|(_, id)| id).collect();
        assert_eq!(outbox.take_due(30), expected[..3]);
        assert_eq!(outbox.take_due(30), Vec::<String>::new());
        assert_eq!(outbox.next_due_ms(), Some(40));
    }

    #[test]
    fn a_list_that_was_stored_is_found_again_by_every_index() {
        let mut ids = Ids::new(1);
        let mut outbox = Outbox::default();
        let mut held = callback(&mut ids, "ORDER-1001", 60_000);
        held.fault.held = true;
        let later = callback(&mut ids, "ORDER-1002", 5);
        let later_id = later.id.clone();
        outbox.push(held);
        outbox.push(later);
        let text = serde_json::to_string(&outbox).unwrap();
        let mut read: Outbox = serde_json::from_str(&text).unwrap();
        assert_eq!(read.get(&later_id).unwrap().about, "ORDER-1002");
        assert_eq!(read.about("ORDER-1001").count(), 1);
        assert_eq!(read.take_due(5), std::slice::from_ref(&later_id));
        assert_eq!(read.next_due_ms(), Some(60_000));
        read.release_held(&later_id, 6);
        assert_eq!(read.next_due_ms(), Some(6));
    }
}
