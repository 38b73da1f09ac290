//! Fault scripts: none, one that records, one with a fault at a single call.

use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{
    call::{Call, CallFault, Strike},
    director::{Policy, WaitingCall},
};

/// A place for results for the author of the script.
pub(crate) type Slot<T> = Arc<Mutex<T>>;

/// Takes what was left.
pub(crate) fn take<T: Default>(slot: &Slot<T>) -> T {
    std::mem::take(&mut *slot.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Lets every call through, in the order of arrival, and writes it down.
#[derive(Default)]
pub(crate) struct Record(pub(crate) Slot<Vec<Call>>);

impl Policy for Record {
    fn choose(&mut self, _: &[WaitingCall]) -> usize {
        0
    }

    fn fate(&mut self, call: &Call, _: u64) -> Option<CallFault> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call.clone());
        None
    }
}

/// Strikes one call, by its position.
pub(crate) struct StrikeOne {
    at: usize,
    strike: Strike,
    seen: usize,
    /// The call that was struck, by whom it was made, and how many further attempts are struck.
    again: Option<(u64, Call, u32)>,
    struck: Slot<Option<Call>>,
}

impl StrikeOne {
    /// Strikes the call at this position, counted from 0, and leaves it in the slot.
    pub(crate) fn new(at: usize, strike: Strike, struck: Slot<Option<Call>>) -> Self {
        Self {
            at,
            strike,
            seen: 0,
            again: None,
            struck,
        }
    }
}

impl Policy for StrikeOne {
    fn choose(&mut self, _: &[WaitingCall]) -> usize {
        0
    }

    fn fate(&mut self, call: &Call, line: u64) -> Option<CallFault> {
        let position = self.seen;
        self.seen += 1;
        if position == self.at {
            self.again = Some((line, call.clone(), self.strike.attempts - 1));
            *self.struck.lock().unwrap_or_else(PoisonError::into_inner) = Some(call.clone());
            return Some(self.strike.fault);
        }
        match &mut self.again {
            Some((struck_line, struck, left))
                if *left > 0 && *struck_line == line && struck == call =>
            {
                *left -= 1;
                Some(self.strike.fault)
            }
            Some(_) | None => None,
        }
    }
}

/// Interleaves two sides: one makes so many calls, the other so many, then the first the rest of
/// its own, then the other. Reading an index is no point to stop at.
pub(crate) struct Interleave {
    first: usize,
    left: [usize; 2],
    latest_first: bool,
    reached: Slot<Reached>,
}

/// Whether each side was stopped at a call, in the order in which they run. One that has none left
/// ended before that.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reached {
    pub(crate) first: bool,
    pub(crate) second: bool,
}

impl Interleave {
    /// Side `first` makes `calls[0]` calls, the other `calls[1]`, and so on.
    pub(crate) fn new(first: usize, calls: [usize; 2], reached: Slot<Reached>) -> Self {
        Self {
            first,
            left: calls,
            latest_first: false,
            reached,
        }
    }

    /// Of the calls that a side makes at once, the one that it made last is let through first.
    pub(crate) fn latest_first(mut self, latest_first: bool) -> Self {
        self.latest_first = latest_first;
        self
    }
}

impl Policy for Interleave {
    fn choose(&mut self, waiting: &[WaitingCall]) -> usize {
        let of = |side| {
            let mut calls = waiting.iter();
            if self.latest_first {
                calls.rposition(|asking| asking.side == side)
            } else {
                calls.position(|asking| asking.side == side)
            }
        };
        let sides = [of(self.first), of(1 - self.first)];
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        for (turn, at) in sides.into_iter().enumerate() {
            let Some(at) = at else {
                continue;
            };
            if waiting[at].call.reads_index {
                return at;
            }
            if self.left[turn] > 0 {
                self.left[turn] -= 1;
                return at;
            }
            match turn {
                0 => reached.first = true,
                _ => reached.second = true,
            }
        }
        sides.into_iter().flatten().next().unwrap_or_default()
    }

    fn fate(&mut self, _: &Call, _: u64) -> Option<CallFault> {
        None
    }
}
