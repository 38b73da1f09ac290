//! Results of a day and of a sweep as log lines with metrics: alarms watch newly open differences,
//! a day that was not reconciled or waits for its bill, overdue checks, and notices that wait for
//! an operator, and certificates that end soon.

use payments::{
    model::{bill_date::BillDate, next_check::CheckKind},
    reconcile::{
        difference::{Actor, Difference, Remedy},
        lateness::late_at,
        run::Run,
    },
};
use runtime::signer::SignWith;
use stores::keys_table::{MerchantKeys, VerificationEntry, VerificationKind};
use tracing::info;
use wechatpay::{UnixSeconds, certificates::ends};

use crate::{
    app::App,
    day_money::{DayMoney, is_days_work},
    days_missing::DaysMissing,
    sweep::report::SweepReport,
};

/// The trade side of a day is done, with this many differences of the last days that need an
/// operator. A preview reconciles nothing, so it is counted separately.
pub(crate) fn trades_done(app: &App, run: &Run, open: u64, money: Option<DayMoney>) {
    let there = run.there().all();
    let found: u32 = run.differences().values().sum();
    let is_days_work = is_days_work(app, run);
    info!(
        date = %run.date,
        run_id = run.id,
        dry_run = run.dry_run,
        differences = ?run.differences(),
        YesterdaysReconciled = is_days_work.then_some(1),
        DaysReconciled = (!run.dry_run).then_some(1),
        DaysPreviewed = run.dry_run.then_some(1),
        BillRows = there.payments.saturating_add(there.refunds),
        Differences = found,
        OpenDifferences = open,
        CarriedTrades = run.carried(),
        DayFen = money.map(|money| money.fen),
        DayFenOpen = money.map(|money| money.open_fen),
        "day reconciled"
    );
}

/// The fund side of a day is done too.
pub(crate) fn funds_done(run: &Run, open: u64) {
    let found: u32 = run.differences().values().sum();
    info!(
        date = %run.date,
        run_id = run.id,
        dry_run = run.dry_run,
        FundSidesReconciled = (!run.dry_run).then_some(1),
        Differences = found,
        OpenDifferences = open,
        CarriedTrades = run.carried(),
        "the day's movements are compared"
    );
}

/// Differences that a part of a side of a run has found and stored. What the run may repair is
/// counted once it has tried ([`left_open`]); all else is reported to an operator at once, even if
/// a repair fails.
pub(crate) fn found(run: &Run, found: &[Difference]) {
    let opened = found
        .iter()
        .filter(|one| !may_be_repaired(one) && is_opened_by(one, run));
    let opened = opened.count();
    info!(
        date = %run.date,
        run_id = run.id,
        found = found.len(),
        DifferencesOpened = opened,
        "differences written down"
    );
}

/// Differences that are still open after the repairs of a part of a side.
pub(crate) fn left_open(run: &Run, after: &[Difference]) {
    let opened = after
        .iter()
        .filter(|one| may_be_repaired(one) && is_opened_by(one, run));
    info!(
        date = %run.date,
        run_id = run.id,
        DifferencesOpened = opened.count(),
        "differences repaired as far as they can be"
    );
}

/// Whether a run may end it, or propose something about it, by itself.
fn may_be_repaired(difference: &Difference) -> bool {
    match difference.remedy() {
        Remedy::Settle(_) | Remedy::Refund(_) => true,
        Remedy::Operator => false,
    }
}

/// Whether a difference needs an operator now and did not before this run, in any of the run's
/// attempts. If no earlier run of the day was done, every difference that needs one counts: a
/// superseded run may have stored it without counting it.
fn is_opened_by(difference: &Difference, run: &Run) -> bool {
    if !difference.state.needs_action() {
        return false;
    }
    if !run.was_done_before {
        return true;
    }
    let mut needed_before = false;
    difference.history.iter().any(|step| {
        let needs = step.to.needs_action();
        let is_new = needs && !needed_before && step.who == Actor::Run(run.id.clone());
        needed_before = needs;
        is_new
    })
}

/// WeChat Pay still makes the bill of a day. `BillsLate` is 1 from 13:00 on after the day whose run
/// waits for it: most bills are there at 10:00 (shared/wechatpay/PROTOCOL.md, 8.2). A run may be
/// the first one that asks for an earlier day's bill, which is no reason to call at 10:30.
pub(crate) fn bill_awaited(date: BillDate, run_date: BillDate, now: UnixSeconds) {
    info!(
        %date,
        %run_date,
        BillsAwaited = 1,
        BillsLate = u32::from(now >= late_at(run_date)),
        "the bill is not there yet: it is asked for again"
    );
}

/// This many notices wait for an operator.
pub(crate) fn parked(count: u64) {
    info!(
        status = "parked",
        NoticesParked = count,
        "notices that wait for a person"
    );
}

/// How many days are left of the certificate of the merchant's key that signs, if that is known,
/// and of that of WeChat Pay's certificates that ends last. A public key of WeChat Pay's has no
/// end. Where there is one, a certificate that has ended is left over, and nothing needs it.
pub(crate) fn days_left(keys: &MerchantKeys, sign_with: &SignWith, now: UnixSeconds) {
    let days = |end: UnixSeconds| end.since(now).div_euclid(86_400);
    let is_public_key = |entry: &VerificationEntry| match entry.kind {
        VerificationKind::Certificate => false,
        VerificationKind::PublicKey => true,
    };
    let has_public_key = keys.entries.iter().any(is_public_key);
    let certificates = keys
        .entries
        .iter()
        .filter(|entry| !is_public_key(entry))
        .filter_map(|entry| ends(&entry.pem).ok())
        .filter(|end| !has_public_key || now < *end);
    let own = keys.certificates.of(sign_with);
    let own = own.and_then(|own| own.validity);
    let own = own.map(|validity| days(validity.until));
    let of_wechat = certificates.max().map(days);
    if own.is_some() || of_wechat.is_some() {
        info!(
            MerchantCertificateDaysLeft = own,
            PlatformCertificateDaysLeft = of_wechat,
            "days until certificates end"
        );
    }
}

/// The longest time that an item was overdue when the sweep started. It is reported as soon as it
/// is known: a sweep that does not keep up uses its whole minute, which would delay the alarm.
pub(crate) fn overdue(report: &SweepReport) {
    let oldest_s = report.overdue_s.values().max().copied();
    info!(
        overdue_s = ?report.overdue_s,
        OldestOverdue = oldest_s.unwrap_or_default(),
        "what is due longest"
    );
}

/// A run of the sweep is over: the longest overdue time at its start, for each reason; and the
/// days that should be reconciled by now and are not.
pub(crate) fn swept(app: &App, report: &SweepReport, missing: DaysMissing, trace_id: &str) {
    let overdue_s = |reason: CheckKind| {
        let overdue_s = report.overdue_s.get(reason.name());
        overdue_s.copied().unwrap_or_default()
    };
    info!(
        ?report,
        trace_id,
        SweepsFinished = 1,
        OverdueRefund = overdue_s(CheckKind::Refund),
        OverdueRecovery = overdue_s(CheckKind::Recovery),
        OverdueClosing = overdue_s(CheckKind::Closing),
        OverdueLook = overdue_s(CheckKind::StatusQuery),
        HostsAvoided = app.wechat.hosts_avoided(),
        DaysMissing = missing.last.map(u32::from),
        EarlierDaysMissing = missing.earlier,
        ChecksDone = report.claimed,
        ChecksLeft = report.left,
        ChecksFailed = report.failed,
        "sweep done"
    );
}
