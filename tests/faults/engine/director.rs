//! One call at a time: every outgoing call of every sandbox waits here for its turn.
//!
//! While something runs under [`CallScheduler::run`], a call is let through only when nothing else
//! can move: everything that runs waits for its own call. So only the script decides the order of
//! calls, two handlers can be interleaved at each of their calls, and a run with the same script is
//! the same run. The sandboxes run on the thread of the caller; what is called (the engines in this
//! process, the simulator on its own threads) is done before the next call gets its turn.

use std::{
    cell::Cell,
    convert::Infallible,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, oneshot, watch};

use crate::engine::call::{Call, CallFault};

/// How often in a row nothing may have moved before everything is believed to wait. A request to
/// WeChat Pay has some ten steps on this thread from the handler to the relay, each of them one
/// turn of the runtime.
const STILL_TURNS: u32 = 32;

/// Decides which of the waiting calls is next and what happens to it.
pub(crate) trait Policy: Send {
    /// The position of the call that is let through; the first one has waited longest.
    fn choose(&mut self, waiting: &[WaitingCall]) -> usize;

    /// What happens to a call that is let through.
    fn fate(&mut self, call: &Call, line: u64) -> Option<CallFault>;
}

/// A call that waits.
#[derive(Clone, Debug)]
pub(crate) struct WaitingCall {
    pub(crate) call: Call,
    /// The caller's side in a race: see [`on_side`].
    pub(crate) side: usize,
}

thread_local! {
    static SIDE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The side of a race that is running.
pub(crate) fn side() -> Option<usize> {
    SIDE.get()
}

/// Runs `work` on a side: sandboxes that it uses are on that side.
pub(crate) async fn on_side<T>(side: usize, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        let before = SIDE.replace(Some(side));
        let polled = work.as_mut().poll(context);
        SIDE.set(before);
        polled
    })
    .await
}

/// Lets every call through, in the order of arrival, unharmed.
pub(crate) struct InOrder;

impl Policy for InOrder {
    fn choose(&mut self, _: &[WaitingCall]) -> usize {
        0
    }

    fn fate(&mut self, _: &Call, _: u64) -> Option<CallFault> {
        None
    }
}

/// Gives calls their turn. Clones are the same director.
#[derive(Clone)]
pub(crate) struct CallScheduler(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// A call has arrived.
    arrived: Notify,
    /// The call that had its turn is over.
    over: Notify,
}

struct State {
    script: Box<dyn Policy>,
    waiting: Vec<Waiting>,
    /// Counts what moves.
    moves: u64,
    busy: bool,
    lines: u64,
    calls: u64,
    steps: Vec<String>,
}

struct Waiting {
    call: Call,
    line: Liveness,
    turn: oneshot::Sender<(Option<CallFault>, Turn)>,
}

/// The life of one sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Liveness {
    id: u64,
    dead: watch::Sender<bool>,
    side: Arc<AtomicUsize>,
}

/// The turn of one call; it ends when this is dropped.
pub(crate) struct Turn {
    director: CallScheduler,
}

impl CallScheduler {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                script: Box::new(InOrder),
                waiting: Vec::new(),
                moves: 0,
                busy: false,
                lines: 0,
                calls: 0,
                steps: Vec::new(),
            }),
            arrived: Notify::new(),
            over: Notify::new(),
        }))
    }

    /// The life of a new sandbox.
    pub(crate) fn line(&self) -> Liveness {
        let mut state = self.state();
        state.lines += 1;
        Liveness {
            id: state.lines,
            dead: watch::Sender::new(false),
            side: Arc::default(),
        }
    }

    /// From now on this script decides. Gives the one before.
    pub(crate) fn follow(&self, script: Box<dyn Policy>) -> Box<dyn Policy> {
        std::mem::replace(&mut self.state().script, script)
    }

    /// How many calls had their turn so far.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Prints a step of the run.
    pub(crate) fn print(&self, step: impl Into<String>) {
        self.state().steps.push(step.into());
    }

    /// The trace so far: each step, each call, each fault.
    pub(crate) fn steps(&self) -> Vec<String> {
        self.state().steps.clone()
    }

    /// Waits for the turn of a call. Gives what happens to it, and the turn, to be held until it
    /// has happened. Once the sandbox is dead it never comes.
    pub(crate) async fn pass(&self, line: &Liveness, call: Call) -> (Option<CallFault>, Turn) {
        let (turn, mine) = oneshot::channel();
        {
            let mut state = self.state();
            state.moves += 1;
            state.waiting.push(Waiting {
                call,
                line: line.clone(),
                turn,
            });
        }
        self.0.arrived.notify_one();
        match mine.await {
            Ok(turn) => turn,
            Err(_) => std::future::pending().await,
        }
    }

    /// Runs `work` to its end, giving the calls that are made meanwhile their turns.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        // A task of its own: in one with `work`, each turn for which it waits would poll `work`
        // again, down to the call that waits. It ends when this is dropped.
        let mut directing = tokio::task::JoinSet::new();
        directing.spawn(self.clone().direct());
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            value = &mut work => value,
            // Without turns `work` would wait for ever, and the panic would be lost.
            Some(ended) = directing.join_next() => match ended {
                Ok(never) => match never {},
                Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
            },
        }
    }

    async fn direct(self) -> Infallible {
        loop {
            while self.state().waiting.is_empty() {
                self.0.arrived.notified().await;
            }
            self.stillness().await;
            if self.next() {
                while self.state().busy {
                    self.0.over.notified().await;
                }
            }
        }
    }

    /// Waits until nothing on this thread moves any more.
    async fn stillness(&self) {
        let mut seen = self.state().moves;
        let mut still = 0;
        while still < STILL_TURNS {
            tokio::task::yield_now().await;
            let moves = self.state().moves;
            still = if moves == seen { still + 1 } else { 0 };
            seen = moves;
        }
    }

    /// Lets one call through; `false` when those that waited are gone.
    fn next(&self) -> bool {
        let mut state = self.state();
        // Calls of the dead, and those whose callers gave up.
        state
            .waiting
            .retain(|waiting| !waiting.line.is_dead() && !waiting.turn.is_closed());
        if state.waiting.is_empty() {
            return false;
        }
        let calls: Vec<WaitingCall> = state
            .waiting
            .iter()
            .map(|waiting| WaitingCall {
                call: waiting.call.clone(),
                side: waiting.line.side.load(Ordering::SeqCst),
            })
            .collect();
        let chosen = state.script.choose(&calls).min(calls.len() - 1);
        let Waiting { call, line, turn } = state.waiting.remove(chosen);
        let fate = state.script.fate(&call, line.id);
        state.calls += 1;
        state.moves += 1;
        state.busy = true;
        let struck = fate.map_or(String::new(), |fault| format!("  <- {fault:?}"));
        state.steps.push(format!("    #{} {call}{struck}", line.id));
        drop(state);
        // Should the caller be gone after all, the turn is dropped with the message, and so is
        // over.
        drop(turn.send((
            fate,
            Turn {
                director: self.clone(),
            },
        )));
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.director.state();
        state.busy = false;
        state.moves += 1;
        drop(state);
        self.director.0.over.notify_one();
    }
}

impl Liveness {
    /// The sandbox dies: what it is doing is dropped on the spot.
    pub(crate) fn cut(&self) {
        self.dead.send_replace(true);
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// The sandbox is used by the side that is running.
    pub(crate) fn take_side(&self) {
        self.side.store(side().unwrap_or(0), Ordering::SeqCst);
    }

    /// Runs `work` in the sandbox; `None` when the sandbox dies meanwhile.
    pub(crate) async fn live<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut dead = self.dead.subscribe();
        tokio::select! {
            biased;
            _ = dead.wait_for(|dead| *dead) => None,
            value = work => Some(value),
        }
    }
}
