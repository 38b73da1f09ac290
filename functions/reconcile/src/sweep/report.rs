//! The outcome of one check, and the sums of a run of the sweep.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a run did, how far it got, and what is left.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct SweepReport {
    /// Orders and refunds that were due and claimed by this run.
    pub claimed: u32,
    /// Orders that this run settled by WeChat Pay's word.
    pub settled: u32,
    /// Orders that are still to be paid.
    pub open: u32,
    /// Reserved orders handed to the queue, since they had no prepay value yet.
    pub resumed: u32,
    /// Orders that were being closed or could no longer be paid, and are closed now.
    pub closed: u32,
    /// Orders that WeChat Pay has not closed yet.
    pub closing: u32,
    /// Refunds that this run brought to another state.
    pub refunds_moved: u32,
    /// Refunds that are on their way.
    pub refunds_open: u32,
    /// Payments and refunds parked for a person.
    pub parked: u32,
    /// Orders and refunds that could not be checked; they are due again.
    pub failed: u32,
    /// Those of them that failed for a reason that passes: WeChat Pay did not answer, say. They are
    /// due again soon.
    pub unanswered: u32,
    /// Pages of the index that were read.
    pub pages: u32,
    /// Orders and refunds that were due and that this run read of and did not come to. They keep
    /// their places.
    pub left: u32,
    /// Parts of the index that hold more than this run got to.
    pub parts_with_more: u32,
    /// Parts of the index that this run did not read, so that their contents are unknown.
    pub parts_unread: u32,
    /// Parts of the index that could not be read.
    pub parts_unreadable: u32,
    /// How long what was due longest had been due when the run began, in seconds, by the reason;
    /// without those that nothing was due for.
    pub overdue_s: BTreeMap<&'static str, i64>,
    /// The run ended early, since neither host of WeChat Pay answers: what is due keeps its place
    /// for a run that can ask.
    pub wechat_down: bool,
}

pub(super) enum CheckOutcome {
    NotOurs,
    Settled,
    Open,
    Resumed,
    Closed,
    Closing,
    RefundMoved,
    RefundOpen,
    Parked,
    /// No result, for a temporary reason: WeChat Pay did not answer, or something failed on our
    /// side. It is due again soon.
    Unanswered,
    /// No result, and a repeat soon would have none either.
    Failed,
}
