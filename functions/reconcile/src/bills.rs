//! A day's bill: read from the evidence bucket if stored there, otherwise streamed from WeChat Pay
//! into the bucket in one pass, never whole in memory.
//!
//! A bill is valid if the SHA-1 of its text is the one that WeChat Pay gave with the link. Only
//! then is it stored, under a name with the hash, and only then do its rows count: a consumer of
//! rows must wait for the end of the pass.

mod refusal;
mod stream;
mod text;

use std::time::Duration;

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
use wechat_client::api::CallReply;
use wechatpay::{
    RequestId,
    api::{AccountType, BillLink, BillType, Call, ErrorCode, FundFlowBill, TradeBill},
    bill::{BillError, FundRow, TradeRow},
};

use crate::{
    app::App,
    day_part::DayPart,
    error::{BrokenBill, DayError},
};
use refusal::{of_refusal, refused};
use stream::{BillSource, BillStream, of_file};
use text::{BillText, FundText, TradeText};

/// How long WeChat Pay may take to say where a bill is.
const LINK_WITHIN: Duration = Duration::from_secs(6);

/// From this hour of the next Beijing day on, WeChat Pay's word that there is no bill is believed,
/// in seconds (shared/wechatpay/PROTOCOL.md, 8.2).
const BELIEVED_FROM_S: i64 = 10 * 3600;

/// How long WeChat Pay may take to begin with a file.
const DOWNLOAD_WITHIN: Duration = Duration::from_secs(30);

/// The one that WeChat Pay has.
const HASH_TYPE: &str = "SHA1";

/// WeChat Pay takes 3 requests for fund bills a second (shared/wechatpay/PROTOCOL.md, 8.1).
const FUND_BILL_PAUSE: Duration = Duration::from_millis(350);

/// Maximum number of rows differing at first sight that one run examines; more are only counted.
/// Each is about 600 bytes as a bill line.
pub(crate) const ROWS_MAX: usize = 100_000;

/// The result of a pass over the trade bill.
pub(crate) struct TradePass {
    pub(crate) facts: BillFacts,
    /// Rows against our books.
    pub(crate) matched: Matched,
    /// How the summary row differs from the rows, if it does.
    pub(crate) summary_differs: Option<String>,
}

/// The result of reading a bill.
pub(crate) struct ReadBill {
    pub(crate) facts: BillFacts,
    pub(crate) summary_differs: Option<String>,
}

enum StoredBill {
    File {
        /// The file, about to be read.
        opened: Box<BillStream>,
        /// What is known of it.
        facts: BillFacts,
    },
    /// There is no bill because there was no trade. WeChat Pay answered this run so, or the day is
    /// too old to ask. For other days WeChat Pay is queried again: the bill may only have been
    /// late.
    NoBill,
    /// No usable bill is stored.
    Unusable,
}

/// The facts of a bill that does not exist because nothing happened on the day.
const NO_BILL: BillFacts = BillFacts {
    rows: 0,
    sha1: None,
    kept_as: None,
};

/// Reads bills for a run.
#[derive(Clone, Copy)]
pub(crate) struct BillReader<'a> {
    app: &'a App,
    run: &'a Run,
}

impl<'a> BillReader<'a> {
    pub(crate) const fn new(app: &'a App, run: &'a Run) -> Self {
        Self { app, run }
    }

    /// Lays the day's trade bill against our books of the part.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn trades(
        self,
        part: DayPart,
        books: DayBooks,
    ) -> Result<TradePass, DayError> {
        let mut matcher = Matcher::new(books, &self.app.mchid, ROWS_MAX);
        let read = self
            .read_trade(self.run.date, |rows| {
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
    pub(crate) async fn fetch_trade(self, date: BillDate) -> Result<BillFacts, DayError> {
        match self.kept(date, BillName::Trade).await? {
            StoredBill::File { facts, .. } => Ok(facts),
            StoredBill::NoBill => Ok(NO_BILL),
            StoredBill::Unusable => Ok(self.read_trade(date, |_| ()).await?.facts),
        }
    }

    /// Makes sure that a fund bill of a day is stored. Returns what is known of it.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn fetch_fund(
        self,
        date: BillDate,
        bill: BillName,
    ) -> Result<BillFacts, DayError> {
        match self.kept(date, bill).await? {
            StoredBill::File { facts, .. } => Ok(facts),
            StoredBill::NoBill => Ok(NO_BILL),
            StoredBill::Unusable => {
                self.app.clock.sleep(FUND_BILL_PAUSE).await;
                Ok(self.read_fund(date, bill, |_| ()).await?.facts)
            }
        }
    }

    /// Reads the trade bill of a day, some rows at a time.
    ///
    /// # Errors
    /// [`DayError`]: `each` has read nothing of use then.
    pub(crate) async fn read_trade(
        self,
        date: BillDate,
        each: impl FnMut(&[TradeRow<'_>]),
    ) -> Result<ReadBill, DayError> {
        let call = TradeBill {
            bill_date: date.to_string(),
            bill_type: BillType::All,
            gzip: true,
        };
        let text = TradeText::new(each);
        self.read(date, BillName::Trade, &call, text).await
    }

    /// Reads a fund bill of a day, row by row.
    ///
    /// # Errors
    /// As [`Self::read_trade`].
    pub(crate) async fn read_fund(
        self,
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
        let text = FundText::new(each);
        self.read(date, bill, &call, text).await
    }

    async fn read<C: Call<Answer = BillLink>>(
        self,
        date: BillDate,
        bill: BillName,
        call: &C,
        mut text: impl BillText,
    ) -> Result<ReadBill, DayError> {
        let Some(opened) = self.open(date, bill, call).await? else {
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

    /// Finds a bill: stored by an earlier run, or at WeChat Pay. `None` if nothing happened on the
    /// day.
    async fn open<C: Call<Answer = BillLink>>(
        self,
        date: BillDate,
        bill: BillName,
        call: &C,
    ) -> Result<Option<BillStream>, DayError> {
        match self.kept(date, bill).await? {
            StoredBill::File { opened, .. } => return Ok(Some(*opened)),
            StoredBill::NoBill => return Ok(None),
            StoredBill::Unusable => {}
        }
        let Some(link) = self.link(date, bill, call).await? else {
            return Ok(None);
        };
        let sha1 = link.hash_value.trim().to_ascii_lowercase();
        let kept_as = self.evidence_name(date, bill, &sha1);
        if let Some(bytes) = self.app.evidence.open(&kept_as).await? {
            return Ok(Some(BillStream {
                name: bill.name(),
                source: BillSource::Evidence(bytes),
                keeping: None,
                sha1,
                kept_as,
            }));
        }
        let bytes = self
            .app
            .wechat
            .open_bill(&link, DOWNLOAD_WITHIN)
            .await
            .map_err(|source| of_file(bill.name(), source))?;
        Ok(Some(BillStream {
            name: bill.name(),
            source: BillSource::Wechat(bytes),
            keeping: Some(self.app.evidence.begin(&kept_as, &sha1)),
            sha1,
            kept_as,
        }))
    }

    /// The bill as stored by this run or an earlier one. A stored bill of the current day is
    /// ignored: that bill still grows.
    async fn kept(self, date: BillDate, bill: BillName) -> Result<StoredBill, DayError> {
        let own = self
            .run
            .fetched
            .get(&date)
            .and_then(|bills| bills.get(&bill));
        let known = match own {
            Some(facts) => Some(facts.clone()),
            None if date >= BillDate::of(self.app.clock.now()) => None,
            None if date == self.run.date => self.run.bills.get(&bill).cloned(),
            None => {
                let runs = self.app.reconciliations.day_runs(date).await?;
                runs.whole_bill(bill).cloned()
            }
        };
        let Some(facts) = known else {
            return Ok(StoredBill::Unusable);
        };
        let (Some(sha1), Some(kept_as)) = (&facts.sha1, &facts.kept_as) else {
            return Ok(if own.is_some() || self.is_too_old(date) {
                StoredBill::NoBill
            } else {
                StoredBill::Unusable
            });
        };
        let Some(bytes) = self.app.evidence.open(kept_as).await? else {
            return Ok(StoredBill::Unusable);
        };
        Ok(StoredBill::File {
            opened: Box::new(BillStream {
                name: bill.name(),
                source: BillSource::Evidence(bytes),
                keeping: None,
                sha1: sha1.clone(),
                kept_as: kept_as.clone(),
            }),
            facts,
        })
    }

    /// Whether WeChat Pay no longer provides a bill of the day.
    fn is_too_old(self, date: BillDate) -> bool {
        date < BillDate::of(self.app.clock.now()).plus_days(-BILLS_LAST_DAYS)
    }

    /// Whether a day's trade bill can be read: WeChat Pay provides it, or it is stored, however old
    /// the day is.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn can_be_read(self, date: BillDate) -> Result<bool, DayError> {
        if !self.is_too_old(date) {
            return Ok(true);
        }
        let runs = self.app.reconciliations.day_runs(date).await?;
        Ok(runs.whole_bill(BillName::Trade).is_some())
    }

    /// `bills/<mchid>/<day>/<bill>-<sha1>.csv.gz`: a bill that comes with another hash one day
    /// never hides the first.
    fn evidence_name(self, date: BillDate, bill: BillName, sha1: &str) -> String {
        format!(
            "bills/{}/{date}/{}-{sha1}.csv.gz",
            self.app.mchid,
            bill.name()
        )
    }

    /// Asks WeChat Pay where a bill is. `None` when it says that nothing happened on the day, and
    /// can be believed.
    async fn link<C: Call<Answer = BillLink>>(
        self,
        date: BillDate,
        bill: BillName,
        call: &C,
    ) -> Result<Option<BillLink>, DayError> {
        let CallReply { answer, request_id } =
            self.app.wechat.call_either(call, LINK_WITHIN).await?;
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
                if none && self.is_believed(date) {
                    Ok(None)
                } else if none || refusal.code == ErrorCode::StatementCreating {
                    Err(DayError::NotReady {
                        date,
                        run_date: self.run.date,
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

    /// Before 10:00 of the next day the bill may only not be made yet. The present day is
    /// reconciled with a simulator alone, which has every bill at once.
    fn is_believed(self, date: BillDate) -> bool {
        let now = self.app.clock.now();
        now >= date.ends_at().plus_s(BELIEVED_FROM_S) || self.run.date == BillDate::of(now)
    }
}
