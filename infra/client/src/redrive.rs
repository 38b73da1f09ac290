//! `redrive`: moves dead letters back to the queue that they came from, or lists them. AWS China
//! has no `StartMessageMoveTask`, so this receives, sends and deletes by itself, everywhere alike.
//!
//! A message is sent before it is deleted. If the program dies in between, the message is in both
//! queues, and moving it once more does no harm: the functions that read the queues take a message
//! any number of times. It ends when nothing is left that was there when it began: a message that
//! fails again meanwhile has a later sending time and stays.

mod dry_run;

use std::collections::HashSet;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runtime::clock::Clock;
use stores::queues::{DeadLetter, DeadLetters, QueueError};

use crate::api::CommandResult;
use crate::args::{Args, UsageError};
use crate::cloud::{Account, PROFILE};
use crate::doctor::aws_calls::AwsCalls;
use crate::doctor::stack::{self, Stack};

use dry_run::DryRun;

/// Messages in a second, by default.
const RATE_DEFAULT: u32 = 10;
/// More would be throttled by SQS's readers long before.
const RATE_MAX: u32 = 300;
/// How many messages a dry run takes by default: all of them are hidden until it ends.
const DRY_RUN_MAX: u64 = 1_000;
/// The most that SQS hands over at once.
const BATCH_MAX: i32 = 10;
/// After so many batches without one that was there at the beginning, the queue is being filled
/// faster than it can be read.
const BATCHES_IN_VAIN_MAX: u32 = 100;
/// A call that was throttled is made again after these pauses.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// How often it says how far it is.
const PROGRESS_EVERY_MS: i64 = 5_000;
/// What a shell shows of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The queues whose dead letters can be moved back, by the names of the pages.
const QUEUES: [(&str, &str); 5] = [
    ("payment-requests", "PaymentRequests"),
    ("payment-results", "PaymentResults"),
    ("webhooks", "Webhooks"),
    ("reconcile-work", "ReconcileWork"),
    ("notifications", "Notifications"),
];

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["stack", "max", "rate", PROFILE], &["dry-run"])?;
    let queue = args.word("QUEUE")?;
    let outputs = outputs_of(&queue)?;
    let name = args.setting("stack", "STACK")?;
    let most = at_least_one("max", args.number::<u64>("max")?)?;
    let rate = at_least_one("rate", args.number::<u32>("rate")?)?;
    let is_dry_run = args.flag("dry-run")?;
    let account = Account::named(&mut args)?;
    args.finish()?;

    let clock = Clock::system();
    let (aws, calls) = AwsCalls::beside_sdk(&account, &clock).await?;
    let Some(stack) = Stack::described(&calls, &name).await? else {
        return Err(stack::missing(&name, calls.region()).cause.into());
    };
    let url = |kind: &str| match stack.output(&format!("{outputs}{kind}Url")) {
        "" => Err(format!(
            "the stack {name} has no output {outputs}{kind}Url: it is not of this template, or made without that queue"
        )),
        url => Ok(url.to_owned()),
    };
    let redrive = Redrive {
        letters: DeadLetters::new(aws.sqs(), url("Dlq")?, url("Queue")?),
        clock,
        stop: Stop::at_ctrl_c(),
    };
    if is_dry_run {
        redrive.dry_run(most.unwrap_or(DRY_RUN_MAX)).await
    } else {
        let rate = rate.unwrap_or(RATE_DEFAULT).min(RATE_MAX);
        redrive.move_back(most.unwrap_or(u64::MAX), rate).await
    }
}

/// What the outputs of a queue and its dead-letter queue begin with.
fn outputs_of(queue: &str) -> Result<&'static str, UsageError> {
    if queue.trim_end_matches("-dlq") == "order-events" {
        return Err(UsageError::Conflict(
            "order-events-dlq says where in the stream the Pipe failed, and no queue lies before it: \
             infra/runbooks/dead-letters.md says how its events are sent",
        ));
    }
    if queue.trim_end_matches("-dlq") == "forward-errors" {
        return Err(UsageError::Conflict(
            "forward-errors-dlq has events that call the function forward-errors again, and no queue lies before it: \
             infra/runbooks/logs.md says how they are sent",
        ));
    }
    let named = QUEUES
        .into_iter()
        .find(|(name, _)| queue == *name || queue.strip_suffix("-dlq") == Some(name));
    named
        .map(|(_, outputs)| outputs)
        .ok_or_else(|| UsageError::Word {
            what: "QUEUE",
            expected: "is payment-requests, payment-results, webhooks, reconcile-work or notifications",
            given: queue.to_owned(),
        })
}

fn at_least_one<T: PartialEq + From<u8> + ToString>(
    name: &'static str,
    given: Option<T>,
) -> Result<Option<T>, UsageError> {
    match given {
        Some(zero) if zero == T::from(0) => Err(UsageError::Value {
            name,
            expected: "is at least 1",
            given: zero.to_string(),
        }),
        other => Ok(other),
    }
}

/// Whether the program was asked to end. It then ends between two messages; asked twice, at once.
#[derive(Clone)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn at_ctrl_c() -> Self {
        let stop = Self(Arc::new(AtomicBool::new(false)));
        let asked = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            eprintln!("ending after this message ...");
            asked.0.store(true, Ordering::Relaxed);
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(i32::from(INTERRUPTED));
            }
        });
        stop
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why no more messages were moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Nothing is left that was there at the beginning.
    Empty,
    /// As many as were to be moved.
    Most,
    /// More comes than can be read.
    Flooded,
    Interrupted,
}

/// How far it is.
struct Moving {
    moved: u64,
    /// The ids under which SQS has what was moved. A message keeps its id when SQS puts it into the
    /// dead-letter queue.
    sent: HashSet<String>,
    /// What came after the beginning, hidden until the end.
    left: Vec<DeadLetter>,
    reported_at_ms: i64,
    next_at_ms: i64,
}

struct Redrive {
    letters: DeadLetters,
    clock: Clock,
    stop: Stop,
}

impl Redrive {
    /// Says what is there, and leaves it.
    async fn dry_run(&self, most: u64) -> CommandResult {
        let counts = self.patiently(async || self.letters.counts().await).await?;
        let mut dry_run = DryRun::default();
        let mut received = Vec::new();
        let read = self.receive_all(most, &mut dry_run, &mut received).await;
        self.show_again(&received).await;
        read?;
        println!("{:#}", dry_run.report(self.letters.dead_url(), counts));
        Ok(self.exit())
    }

    async fn receive_all(
        &self,
        most: u64,
        dry_run: &mut DryRun,
        received: &mut Vec<DeadLetter>,
    ) -> Result<(), QueueError> {
        while dry_run.count() < most && !self.stop.is_asked() {
            let batch = batch(most.saturating_sub(dry_run.count()));
            let letters = self.patiently(async || self.letters.receive(batch).await);
            let before = dry_run.count();
            for letter in letters.await? {
                dry_run.add(&letter);
                received.push(letter);
            }
            if dry_run.count() == before {
                break; // none, or all for the second time
            }
        }
        Ok(())
    }

    async fn move_back(&self, most: u64, rate: u32) -> CommandResult {
        let counts = self.patiently(async || self.letters.counts().await).await?;
        eprintln!(
            "about {} messages in {}; moving {rate} a second at most to {}",
            counts.visible,
            self.letters.dead_url(),
            self.letters.source_url()
        );
        let began_at_ms = self.clock.now_ms();
        let mut moving = Moving {
            moved: 0,
            sent: HashSet::new(),
            left: Vec::new(),
            reported_at_ms: began_at_ms,
            next_at_ms: began_at_ms,
        };
        let ended = self.move_all(&mut moving, began_at_ms, most, rate).await;
        self.show_again(&moving.left).await;
        println!("{} messages were moved back.", moving.moved);
        let end = match ended {
            Ok(end) => end,
            Err(error) => {
                eprintln!(
                    "What was not moved is in the dead-letter queue as before, and visible again within {} s; one message \
                     may be in both queues, which does no harm. When the cause is gone, begin this once more.",
                    DeadLetters::HIDDEN_S
                );
                return Err(explained(error));
            }
        };
        self.report_rest(end, &moving).await;
        Ok(match end {
            End::Empty | End::Most | End::Flooded => ExitCode::SUCCESS,
            End::Interrupted => ExitCode::from(INTERRUPTED),
        })
    }

    async fn move_all(
        &self,
        moving: &mut Moving,
        began_at_ms: i64,
        most: u64,
        rate: u32,
    ) -> Result<End, QueueError> {
        let mut in_vain = 0;
        loop {
            let batch = batch(most.saturating_sub(moving.moved));
            if batch == 0 {
                return Ok(End::Most);
            }
            if self.stop.is_asked() {
                return Ok(End::Interrupted);
            }
            let received = self.patiently(async || self.letters.receive(batch).await);
            let mut letters = received.await?.into_iter();
            if letters.len() == 0 {
                return Ok(End::Empty);
            }
            in_vain += 1;
            while let Some(letter) = letters.next() {
                if came_later(&letter, began_at_ms, moving) {
                    moving.left.push(letter);
                    continue;
                }
                in_vain = 0;
                let moved = if self.stop.is_asked() {
                    Ok(End::Interrupted)
                } else {
                    self.wait_for_turn(moving, rate).await;
                    self.move_one(&letter, moving).await.map(|()| End::Empty)
                };
                if !matches!(moved, Ok(End::Empty)) {
                    moving.left.push(letter);
                    moving.left.extend(letters);
                    return moved;
                }
            }
            if in_vain >= BATCHES_IN_VAIN_MAX {
                return Ok(End::Flooded);
            }
        }
    }

    async fn move_one(&self, letter: &DeadLetter, moving: &mut Moving) -> Result<(), QueueError> {
        let sent = self.patiently(async || self.letters.send_back(letter).await);
        moving.sent.insert(sent.await?);
        self.patiently(async || self.letters.delete(letter).await)
            .await?;
        moving.moved = moving.moved.saturating_add(1);
        let now_ms = self.clock.now_ms();
        if now_ms.saturating_sub(moving.reported_at_ms) >= PROGRESS_EVERY_MS {
            moving.reported_at_ms = now_ms;
            eprintln!("{} moved ...", moving.moved);
        }
        Ok(())
    }

    /// Keeps to the rate.
    async fn wait_for_turn(&self, moving: &mut Moving, rate: u32) {
        let now_ms = self.clock.now_ms();
        let wait_ms = moving.next_at_ms.saturating_sub(now_ms);
        if let Ok(wait_ms) = u64::try_from(wait_ms) {
            self.clock.sleep(Duration::from_millis(wait_ms)).await;
        }
        moving.next_at_ms = moving.next_at_ms.max(now_ms) + 1_000 / i64::from(rate.max(1));
    }

    async fn report_rest(&self, end: End, moving: &Moving) {
        let newer: HashSet<&str> = moving.left.iter().map(DeadLetter::id).collect();
        match end {
            End::Interrupted => {
                eprintln!("It was ended by hand: what was not moved is in the dead-letter queue.");
            }
            End::Most => eprintln!("As many as --max names: there may be more."),
            End::Flooded => eprintln!(
                "Messages die faster than they can be listed: the cause is not gone. Check the log first."
            ),
            End::Empty if newer.is_empty() => {}
            End::Empty => eprintln!(
                "{} messages died since this began, and stay: check the log before you move them.",
                newer.len()
            ),
        }
        // A dry run meanwhile hides them.
        if end == End::Empty
            && let Ok(counts) = self.letters.counts().await
            && counts.hidden > 0
        {
            eprintln!(
                "About {} messages are hidden just now, because somebody receives them or a run of this was killed: begin this \
                 once more in some minutes.",
                counts.hidden
            );
        }
    }

    async fn show_again(&self, letters: &[DeadLetter]) {
        if let Err(error) = self.letters.show_again(letters).await {
            eprintln!(
                "{error}: the messages that were read are visible again within {} s",
                DeadLetters::HIDDEN_S
            );
        }
    }

    /// Makes a call again that was throttled.
    async fn patiently<T>(
        &self,
        call: impl AsyncFn() -> Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        for pause in PAUSES {
            match call().await {
                Err(error) if is_throttled(&error) && !self.stop.is_asked() => {
                    eprintln!("{error}: going on in {} s ...", pause.as_secs());
                    self.clock.sleep(pause).await;
                }
                other => return other,
            }
        }
        call().await
    }

    fn exit(&self) -> ExitCode {
        if self.stop.is_asked() {
            ExitCode::from(INTERRUPTED)
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// As many as are still to come, as far as SQS hands them over at once.
fn batch(left: u64) -> i32 {
    i32::try_from(left).unwrap_or(BATCH_MAX).min(BATCH_MAX)
}

/// Whether a message is there again, or for the first time, since this began.
fn came_later(letter: &DeadLetter, began_at_ms: i64, moving: &Moving) -> bool {
    moving.sent.contains(letter.id()) || letter.sent_at_ms().is_some_and(|sent| sent >= began_at_ms)
}

/// Whether the call may be made again in a while, by SQS's word or that of the queue's key.
fn is_throttled(error: &QueueError) -> bool {
    error.code().is_some_and(|code| code.contains("Throttl"))
}

/// Whose permissions it takes, where they are what is missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "these credentials may not do this. To move messages takes the role that the stack's parameter OperatorRoleArn names, \
     with the policy of the output RedrivePolicyArn"
)]
struct NotTheOperator(#[source] QueueError);

fn explained(error: QueueError) -> Box<dyn Error> {
    let code = error.code().unwrap_or_default();
    if code.contains("AccessDenied") {
        Box::new(NotTheOperator(error))
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_as_the_pages_do_with_or_without_its_ending() {
        assert_eq!(outputs_of("webhooks"), Ok("Webhooks"));
        assert_eq!(outputs_of("reconcile-work-dlq"), Ok("ReconcileWork"));
        for other in ["", "webhook", "-dlq", "order-events", "order-events-dlq"] {
            assert!(outputs_of(other).is_err(), "{other}");
        }
    }
}
