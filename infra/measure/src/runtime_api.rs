//! A Lambda Runtime API for one process: hands out one event at a time and takes the answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::now_ms;
use crate::failure::{Failure, MeasureResult};
use crate::http::{Request, Response, Server};

/// Longer than any start or invocation here; what takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time limit that the function gets.
const DEADLINE_MS: i64 = 29_000;

/// One process's Runtime API. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    server: Server,
    events: Sender<String>,
    seen: Receiver<ProcessEvent>,
}

/// What the process did.
#[derive(Debug)]
enum ProcessEvent {
    /// It asked for an event.
    Next {
        at: Instant,
    },
    /// It was given one.
    HandedOut {
        at: Instant,
    },
    Answered {
        at: Instant,
        body: String,
    },
    /// It reported an error, of an invocation or of its start.
    Failed {
        body: String,
    },
}

/// A finished invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What the function answered.
    pub(crate) body: String,
    /// When the event was handed out.
    pub(crate) from: Instant,
    /// When the whole answer was here.
    pub(crate) to: Instant,
}

impl RuntimeApi {
    pub(crate) fn start() -> MeasureResult<Self> {
        let (events, waiting) = mpsc::channel();
        let (sees, seen) = mpsc::channel();
        let (waiting, sees) = (Mutex::new(waiting), Mutex::new(sees));
        let count = AtomicU64::new(0);
        let server = Server::start(move |request| {
            let see = |what| {
                let sees = sees.lock().unwrap_or_else(PoisonError::into_inner);
                sees.send(what).ok() // there is no receiver any more when the benchmark is over
            };
            answer(&request, &see, &waiting, &count)
        })?;
        Ok(Self {
            server,
            events,
            seen,
        })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn host(&self) -> String {
        self.server.host()
    }

    /// Waits until the process asks for its next event.
    pub(crate) fn next(&self) -> MeasureResult<Instant> {
        loop {
            match self.see("ask for an event")? {
                ProcessEvent::Next { at } => return Ok(at),
                ProcessEvent::HandedOut { .. } | ProcessEvent::Answered { .. } => {}
                ProcessEvent::Failed { body } => return Err(failed(&body)),
            }
        }
    }

    /// Hands out one event and waits for its answer.
    pub(crate) fn invoke(&self, event: String) -> MeasureResult<Invocation> {
        let mut from = Instant::now();
        // if the server is gone, so is the process, and waiting for it will report that
        drop(self.events.send(event));
        loop {
            match self.see("answer")? {
                ProcessEvent::Next { .. } => {}
                ProcessEvent::HandedOut { at } => from = at,
                ProcessEvent::Answered { at, body } => {
                    return Ok(Invocation { body, from, to: at });
                }
                ProcessEvent::Failed { body } => return Err(failed(&body)),
            }
        }
    }

    fn see(&self, what: &str) -> MeasureResult<ProcessEvent> {
        let seen = self.seen.recv_timeout(PATIENCE);
        seen.map_err(|_| Failure::new(format!("the function did not {what} within {PATIENCE:?}")))
    }
}

fn failed(body: &str) -> Failure {
    Failure::new(format!("the function reported an error: {body}"))
}

fn answer(
    request: &Request,
    see: &impl Fn(ProcessEvent) -> Option<()>,
    waiting: &Mutex<Receiver<String>>,
    count: &AtomicU64,
) -> Option<Response> {
    let at = request.read_at;
    let body = || String::from_utf8_lossy(&request.body).into_owned();
    if request.path.ends_with("/invocation/next") {
        see(ProcessEvent::Next { at })?;
        // No event ever comes when the benchmark is over: then the connection is closed.
        let event = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv()
            .ok()?;
        let id = format!(
            "8476a536-e9f4-11e8-9739-{:012x}",
            count.fetch_add(1, Ordering::Relaxed)
        );
        let answer = Response::json(200, event)
            .with("Lambda-Runtime-Aws-Request-Id", id)
            .with(
                "Lambda-Runtime-Deadline-Ms",
                now_ms().saturating_add(DEADLINE_MS).to_string(),
            )
            .with(
                "Lambda-Runtime-Invoked-Function-Arn",
                "arn:aws:lambda:us-east-1:000000000000:function:measured",
            );
        see(ProcessEvent::HandedOut { at: Instant::now() })?;
        return Some(answer);
    }
    if request.path.ends_with("/response") {
        see(ProcessEvent::Answered { at, body: body() })?;
    } else {
        see(ProcessEvent::Failed { body: body() })?;
    }
    Some(Response::json(202, r#"{"status":"OK"}"#))
}
