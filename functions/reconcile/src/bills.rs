//! A day's bill: read from the evidence bucket if stored there, otherwise streamed from WeChat Pay
//! into the bucket in one pass, never whole in memory.
//!
//! A bill is valid if the SHA-1 of its text is the one that WeChat Pay gave with the link. Only
//! then is it stored, under a name with the hash, and only then do its rows count: a consumer of
//! rows must wait for the end of the pass.

use std::{slice, time::Duration};

use adapters::{
    bill_file::{BillFileError, BillSource, Unzip, UnzipError},
    evidence::EvidenceUpload,
    wechat_api::CallReply,
};
use matching::{
    books::DayBooks,
    matcher::{Matched, Matcher},
};
use payments::{
    model::bill_date::{BILLS_LAST_DAYS, BillDate, BillName},
    news::call_outcome::CallOutcome,
    reconcile::run::{BillFacts, Run},
};
use tracing::info;
use wechatpay::{
    RequestId,
    api::{
        AccountType, BillLink, BillType, Call, ErrorCode, FundFlowBill, Refusal, Repeat, TradeBill,
    },
    bill::{BillError, FundBillReader, FundRow, TradeBillReader, TradeRow},
};

use crate::{
    app::App,
    day_part::DayPart,
    error::{BrokenBill, DayError},
};

/// How long WeChat Pay may take to say where a bill is.
const LINK_WITHIN: Duration = Duration::from_secs(6);

/// From this hour of the next Beijing day on, WeChat Pay's word that there is no bill is believed,
/// in seconds (shared/wechatpay/PROTOCOL.md, 8.2).
const BELIEVED_FROM_S: i64 = 10 * 3600;

/// Maximum number of rows differing at first sight that one run examines; more are only counted.
/// Each is about 600 bytes as a bill line.
const ROWS_MAX: usize = 100_000;

/// What a pass over the trade bill came to.
pub(crate) struct TradePass {
    pub(crate) facts: BillFacts,
    /// Rows against our books.
    pub(crate) matched: Matched,
    /// How the summary row differs from the rows, if it does.
    pub(crate) summary_differs: Option<String>,
}

/// Lays the day's trade bill against our books of the part.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn trades(
    app: &App,
    run: &Run,
    part: DayPart,
    books: DayBooks,
) -> Result<TradePass, DayError> {
    let mut matcher = Matcher::new(books, &app.mchid, ROWS_MAX);
    let read = read_trade(app, run, run.date, |rows| {
        if part == DayPart::WHOLE {
            matcher.take_batch(rows);
        } else {
            for row in rows.iter().filter(|row| part.has(row.out_trade_no())) {
                matcher.take(row);
            }
        }
    })
    .await?;
    Ok(TradePass {
        facts: read.facts,
        summary_differs: read.summary_differs,
        matched: matcher.finish(),
    })
}

/// Makes sure that the trade bill of a day is stored. Returns what is known of it.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn fetch_trade(
    app: &App,
    run: &Run,
    date: BillDate,
) -> Result<BillFacts, DayError> {
    match kept(app, run, date, BillName::Trade).await? {
        StoredBill::File { facts, .. } => Ok(facts),
        StoredBill::NoBill => Ok(NO_BILL),
        StoredBill::Unusable => Ok(read_trade(app, run, date, |_| ()).await?.facts),
    }
}

/// Makes sure that a fund bill of a day is stored. Returns what is known of it.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn fetch_fund(
    app: &App,
    run: &Run,
    date: BillDate,
    bill: BillName,
) -> Result<BillFacts, DayError> {
    match kept(app, run, date, bill).await? {
        StoredBill::File { facts, .. } => Ok(facts),
        StoredBill::NoBill => Ok(NO_BILL),
        StoredBill::Unusable => {
            app.clock.sleep(FUND_BILL_PAUSE).await;
            Ok(read_fund(app, run, date, bill, |_| ()).await?.facts)
        }
    }
}

/// WeChat Pay takes 3 requests for fund bills a second (shared/wechatpay/PROTOCOL.md, 8.1).
const FUND_BILL_PAUSE: Duration = Duration::from_millis(350);

/// What is known of a bill that does not exist, since nothing happened.
const NO_BILL: BillFacts = BillFacts {
    rows: 0,
    sha1: None,
    kept_as: None,
};

/// What reading a bill came to.
pub(crate) struct ReadBill {
    pub(crate) facts: BillFacts,
    pub(crate) summary_differs: Option<String>,
}

/// Reads the trade bill of a day, some rows at a time.
///
/// # Errors
/// [`DayError`]: `each` has read nothing of use then.
pub(crate) async fn read_trade(
    app: &App,
    run: &Run,
    date: BillDate,
    each: impl FnMut(&[TradeRow<'_>]),
) -> Result<ReadBill, DayError> {
    let call = TradeBill {
        bill_date: date.to_string(),
        bill_type: BillType::All,
        gzip: true,
    };
    let text = TradeText {
        reader: TradeBillReader::new(),
        each,
        rows: 0,
    };
    read(app, run, date, BillName::Trade, &call, text).await
}

/// Reads a fund bill of a day, row by row.
///
/// # Errors
/// As [`read_trade`].
pub(crate) async fn read_fund(
    app: &App,
    run: &Run,
    date: BillDate,
    bill: BillName,
    each: impl FnMut(&FundRow<'_>),
) -> Result<ReadBill, DayError> {
    let call = FundFlowBill {
        bill_date: date.to_string(),
        account_type: match bill {
            BillName::FundOperation => AccountType::Operation,
            BillName::FundFees => AccountType::Fees,
            BillName::Trade | BillName::FundBasic => AccountType::Basic,
        },
        gzip: true,
    };
    let text = FundText {
        reader: FundBillReader::new(),
        each,
        rows: 0,
    };
    read(app, run, date, bill, &call, text).await
}

/// What a bill's text is handed to.
trait BillText {
    fn feed(&mut self, text: &[u8]) -> Result<(), BillError>;
    /// Ends the text; its number of rows, and what is wrong with it.
    fn finish(self) -> (u64, Result<(), BillError>);
}

struct TradeText<F> {
    reader: TradeBillReader,
    each: F,
    rows: u64,
}

struct FundText<F> {
    reader: FundBillReader,
    each: F,
    rows: u64,
}

impl<F: FnMut(&[TradeRow<'_>])> BillText for TradeText<F> {
    fn feed(&mut self, text: &[u8]) -> Result<(), BillError> {
        let (each, rows) = (&mut self.each, &mut self.rows);
        self.reader
            .feed_batches(text, &mut |some: &[TradeRow<'_>]| {
                *rows = rows.saturating_add(u64::try_from(some.len()).unwrap_or(u64::MAX));
                each(some);
            })
    }

    fn finish(mut self) -> (u64, Result<(), BillError>) {
        let (each, rows) = (&mut self.each, &mut self.rows);
        let read = self.reader.finish(&mut |row: &TradeRow<'_>| {
            *rows = rows.saturating_add(1);
            each(slice::from_ref(row));
        });
        (self.rows, read.map(|_| ()))
    }
}

impl<F: FnMut(&FundRow<'_>)> BillText for FundText<F> {
    fn feed(&mut self, text: &[u8]) -> Result<(), BillError> {
        let (each, rows) = (&mut self.each, &mut self.rows);
        self.reader.feed(text, &mut |row: &FundRow<'_>| {
            *rows = rows.saturating_add(1);
            each(row);
        })
    }

    fn finish(mut self) -> (u64, Result<(), BillError>) {
        let (each, rows) = (&mut self.each, &mut self.rows);
        let read = self.reader.finish(&mut |row: &FundRow<'_>| {
            *rows = rows.saturating_add(1);
            each(row);
        });
        (self.rows, read.map(|_| ()))
    }
}

async fn read<C: Call<Answer = BillLink>>(
    app: &App,
    run: &Run,
    date: BillDate,
    bill: BillName,
    call: &C,
    mut text: impl BillText,
) -> Result<ReadBill, DayError> {
    let Some(opened) = open(app, run, date, bill, call).await? else {
        info!(%date, bill = bill.name(), "nothing happened on the day: there is no bill");
        return Ok(ReadBill {
            facts: NO_BILL,
            summary_differs: None,
        });
    };
    let (sha1, kept_as) = (opened.sha1.clone(), opened.kept_as.clone());
    let mut is_broken = false;
    opened
        .pass(|bytes| {
            // An unusable text is still read to its end, since the hash shows whether it was
            // altered.
            is_broken = is_broken || text.feed(bytes).is_err();
        })
        .await?;
    // A reader that has refused a text refuses it again at its end.
    let (rows, read) = text.finish();
    let summary_differs = match read {
        Ok(()) => None,
        Err(error @ BillError::SummaryDiffers { .. }) => Some(error.to_string()),
        Err(source) => {
            let bill = bill.name();
            return Err(BrokenBill::Text { bill, source }.into());
        }
    };
    info!(%date, bill = bill.name(), rows, "bill read");
    Ok(ReadBill {
        facts: BillFacts {
            rows,
            sha1: Some(sha1),
            kept_as: Some(kept_as),
        },
        summary_differs,
    })
}

/// A bill that is about to be read.
struct BillStream {
    name: &'static str,
    source: BillSource,
    /// Where it is stored while it is streamed; `None` if it is stored already.
    keeping: Option<EvidenceUpload>,
    sha1: String,
    kept_as: String,
}

/// Finds a bill: stored by an earlier run, or at WeChat Pay. `None` if nothing happened on the day.
async fn open<C: Call<Answer = BillLink>>(
    app: &App,
    run: &Run,
    date: BillDate,
    bill: BillName,
    call: &C,
) -> Result<Option<BillStream>, DayError> {
    match kept(app, run, date, bill).await? {
        StoredBill::File { opened, .. } => return Ok(Some(*opened)),
        StoredBill::NoBill => return Ok(None),
        StoredBill::Unusable => {}
    }
    let Some(link) = link(app, run, date, bill, call).await? else {
        return Ok(None);
    };
    let sha1 = link.hash_value.trim().to_ascii_lowercase();
    let kept_as = name_of_kept(app, date, bill, &sha1);
    if let Some(bytes) = app.evidence.open(&kept_as).await? {
        return Ok(Some(BillStream {
            name: bill.name(),
            source: BillSource::Kept(bytes),
            keeping: None,
            sha1,
            kept_as,
        }));
    }
    let bytes = app
        .wechat
        .open_bill(&link, DOWNLOAD_WITHIN)
        .await
        .map_err(|source| of_file(bill.name(), source))?;
    Ok(Some(BillStream {
        name: bill.name(),
        source: BillSource::Wechat(bytes),
        keeping: Some(app.evidence.begin(&kept_as, &sha1)),
        sha1,
        kept_as,
    }))
}

/// How long WeChat Pay may take to begin with a file.
const DOWNLOAD_WITHIN: Duration = Duration::from_secs(30);

/// The stored bill.
enum StoredBill {
    /// Its file.
    File {
        /// The file, about to be read.
        opened: Box<BillStream>,
        /// What is known of it.
        facts: BillFacts,
    },
    /// There is no bill because there was no trade. WeChat Pay told this run so, or the day is too
    /// old to ask. For other days WeChat Pay is queried again: the bill may only have been late.
    NoBill,
    /// No usable bill is stored.
    Unusable,
}

/// The bill as stored by this run or an earlier one. A stored bill of the current day is ignored:
/// that bill still grows.
async fn kept(
    app: &App,
    run: &Run,
    date: BillDate,
    bill: BillName,
) -> Result<StoredBill, DayError> {
    let own = run.fetched.get(&date).and_then(|bills| bills.get(&bill));
    let known = match own {
        Some(facts) => Some(facts.clone()),
        None if date >= BillDate::of(app.clock.now()) => None,
        None if date == run.date => run.bills.get(&bill).cloned(),
        None => {
            let runs = app.reconciliations.day_runs(date).await?;
            runs.whole_bill(bill).cloned()
        }
    };
    let Some(facts) = known else {
        return Ok(StoredBill::Unusable);
    };
    let (Some(sha1), Some(kept_as)) = (&facts.sha1, &facts.kept_as) else {
        return Ok(if own.is_some() || is_too_old(app, date) {
            StoredBill::NoBill
        } else {
            StoredBill::Unusable
        });
    };
    let Some(bytes) = app.evidence.open(kept_as).await? else {
        return Ok(StoredBill::Unusable);
    };
    Ok(StoredBill::File {
        opened: Box::new(BillStream {
            name: bill.name(),
            source: BillSource::Kept(bytes),
            keeping: None,
            sha1: sha1.clone(),
            kept_as: kept_as.clone(),
        }),
        facts,
    })
}

/// Whether WeChat Pay no longer provides a bill of the day.
fn is_too_old(app: &App, date: BillDate) -> bool {
    date < BillDate::of(app.clock.now()).plus_days(-BILLS_LAST_DAYS)
}

/// Whether a day's trade bill can be read: WeChat Pay provides it, or it is stored, however old the
/// day is.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn can_be_read(app: &App, date: BillDate) -> Result<bool, DayError> {
    if !is_too_old(app, date) {
        return Ok(true);
    }
    let runs = app.reconciliations.day_runs(date).await?;
    Ok(runs.whole_bill(BillName::Trade).is_some())
}

/// `bills/<mchid>/<day>/<bill>-<sha1>.csv.gz`: a bill that comes with another hash one day never
/// hides the first.
fn name_of_kept(app: &App, date: BillDate, bill: BillName, sha1: &str) -> String {
    format!("bills/{}/{date}/{}-{sha1}.csv.gz", app.mchid, bill.name())
}

/// Asks WeChat Pay where a bill is. `None` when it says that nothing happened on the day, and can
/// be believed.
async fn link<C: Call<Answer = BillLink>>(
    app: &App,
    run: &Run,
    date: BillDate,
    bill: BillName,
    call: &C,
) -> Result<Option<BillLink>, DayError> {
    let CallReply { answer, request_id } = app.wechat.call_either(call, LINK_WITHIN).await?;
    info!(
        bill = bill.name(),
        wechat_request_id = request_id.as_ref().map(RequestId::as_str),
        "WeChat Pay was asked where a bill is"
    );
    match answer {
        CallOutcome::Done(link) if link.hash_type == HASH_TYPE => Ok(Some(link)),
        CallOutcome::Done(link) => Err(refused(bill, &format!("hash_type {}", link.hash_type))),
        CallOutcome::Refused(refusal) => {
            let none = refusal.code == ErrorCode::NoStatementExist;
            if none && is_believed(app, run, date) {
                Ok(None)
            } else if none || refusal.code == ErrorCode::StatementCreating {
                Err(DayError::NotReady {
                    date,
                    run_date: run.date,
                })
            } else {
                Err(of_refusal(bill, &refusal))
            }
        }
        CallOutcome::Unreadable(source) => Err(DayError::from(BrokenBill::Link {
            bill: bill.name(),
            source,
        })),
        CallOutcome::Unknown(what) => Err(DayError::Passing(
            format!(
                "WeChat Pay did not say where bill {} is ({what})",
                bill.name()
            )
            .into(),
        )),
    }
}

/// The one that WeChat Pay has.
const HASH_TYPE: &str = "SHA1";

/// Before 10:00 of the next day the bill may only not be made yet. The present day is reconciled
/// with a simulator alone, which has every bill at once.
fn is_believed(app: &App, run: &Run, date: BillDate) -> bool {
    let now = app.clock.now();
    now.0 >= date.ends_at().0.saturating_add(BELIEVED_FROM_S) || run.date == BillDate::of(now)
}

fn of_refusal(bill: BillName, refusal: &Refusal) -> DayError {
    match refusal.repeat() {
        Repeat::WithBackoff | Repeat::Later | Repeat::AfterQuery => DayError::Passing(
            format!(
                "WeChat Pay does not give bill {} now ({})",
                bill.name(),
                refusal.raw_code
            )
            .into(),
        ),
        Repeat::AfterTopUp | Repeat::AfterReview | Repeat::AfterChange | Repeat::Never => {
            refused(bill, &refusal.raw_code)
        }
    }
}

fn refused(bill: BillName, code: &str) -> DayError {
    DayError::from(BrokenBill::Refused {
        bill: bill.name(),
        code: code.to_owned(),
        next: match bill {
            BillName::Trade => SEE_THE_CODE,
            BillName::FundBasic | BillName::FundOperation | BillName::FundFees => {
                "if the merchant does not have this account, leave it out of the parameter FundAccounts; else see the protocol's page of bills for what the code asks for"
            }
        },
    })
}

const SEE_THE_CODE: &str = "see the protocol's page of bills for what the code asks for";

/// A host that does not answer passes; a file that is not one does not.
fn of_file(bill: &'static str, source: BillFileError) -> DayError {
    if source.is_transient() {
        DayError::Passing(source.into())
    } else {
        BrokenBill::File { bill, source }.into()
    }
}

fn of_gzip(bill: &'static str, source: UnzipError) -> DayError {
    BrokenBill::Gzip { bill, source }.into()
}

impl BillStream {
    /// Reads the file to its end, stores it, and yields its text in pieces.
    async fn pass(mut self, mut each: impl FnMut(&[u8])) -> Result<(), DayError> {
        let mut unzip = Unzip::new();
        let read = self.stream(&mut unzip, &mut each).await;
        let whole = match read.map(|()| unzip.finish()) {
            Ok(Ok(found)) if found.is(&self.sha1) => Ok(()),
            Ok(Ok(found)) => Err(BrokenBill::Hash {
                bill: self.name,
                found: found.as_str().to_owned(),
                expected: self.sha1.clone(),
            }
            .into()),
            Ok(Err(source)) => Err(of_gzip(self.name, source)),
            Err(error) => Err(error),
        };
        match (whole, self.keeping) {
            (Ok(()), Some(keeping)) => {
                keeping.keep().await?;
                Ok(())
            }
            (Ok(()), None) => Ok(()),
            (Err(error), Some(keeping)) => {
                keeping.give_up().await;
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn stream(
        &mut self,
        unzip: &mut Unzip,
        each: &mut impl FnMut(&[u8]),
    ) -> Result<(), DayError> {
        let name = self.name;
        while let Some(chunk) = self
            .source
            .chunk()
            .await
            .map_err(|source| of_file(name, source))?
        {
            if let Some(keeping) = &mut self.keeping {
                keeping.write(&chunk).await?;
            }
            let mut all = |text: &[u8]| -> Result<(), UnzipError> {
                each(text);
                Ok(())
            };
            unzip
                .feed(&chunk, &mut all)
                .map_err(|source| of_gzip(name, source))?;
        }
        Ok(())
    }
}
