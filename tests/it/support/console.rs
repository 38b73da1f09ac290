//! Finance staff at the console: requests with a token that the gateway has verified, a browser's
//! requests, and a month of reconciled days to show.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::to_bytes, extract::State};
use console::{answer, app::App, handler};
use http::{Request, Response};
use lambda_http::{
    Adapter, Context, LambdaEvent, Service,
    request::{LambdaRequest, RequestContext},
    service_fn,
};
use matching::totals::{Gap, Gaps, Sums, Totals};
use payments::{
    model::bill_date::{BillDate, BillName},
    reconcile::{
        difference::{Decision, Difference, DifferenceKind, DifferenceSubject, SideView},
        run::{BillFacts, FundState, PartDone, Run, RunState},
    },
};
use runtime::{aws::Aws, clock::Clock, random::Random};
use serde_json::{Value, json};
use stores::reconciliation::SaveOutcome;
use testbed::environment::{CONSOLE_GROUP, Environment, WORK};
use tokio::net::TcpListener;
use wechatpay::UnixSeconds;

use super::{Testbed, open};

/// Only where AWS is on this machine may the console work without sign-in. Its calls go to the
/// engines in the process all the same.
const ON_THIS_MACHINE: &str = "http://127.0.0.1:1";

/// The console as it is on AWS, and as it is on a developer's machine.
pub(crate) struct Consoles {
    deployed: Arc<App>,
    here: Arc<App>,
    scheduled: Arc<App>,
}

impl Consoles {
    pub(crate) fn open(vars: &Environment, aws: &Aws, clock: &Clock, random: &Random) -> Self {
        let with = |more: &[(&str, &str)]| {
            let mut vars = vars.clone();
            for (name, value) in more {
                vars.insert((*name).to_owned(), (*value).to_owned());
            }
            Arc::new(open!(console, &vars, aws, clock, random))
        };
        Self {
            deployed: with(&[("CONSOLE_AUTH", "jwt"), ("CONSOLE_GROUP", CONSOLE_GROUP)]),
            here: with(&[
                ("CONSOLE_AUTH", "loopback"),
                ("AWS_ENDPOINT_URL", ON_THIS_MACHINE),
                ("RECONCILE_TODAY", "true"),
            ]),
            scheduled: with(&[
                ("CONSOLE_AUTH", "loopback"),
                ("AWS_ENDPOINT_URL", ON_THIS_MACHINE),
            ]),
        }
    }
}

impl Testbed {
    /// A request to the deployed console, with the claims of a verified token.
    pub(crate) async fn console(
        &self,
        claims: Option<Value>,
        request: Request<String>,
    ) -> Response<String> {
        let (mut parts, body) = request.into_parts();
        if let Some(claims) = claims {
            let context =
                json!({"authorizer": {"jwt": {"claims": claims}}, "http": {"method": "GET"}});
            let context = serde_json::from_value(context).expect("a context");
            parts
                .extensions
                .insert(RequestContext::ApiGatewayV2(context));
        }
        handler::serve(&self.console.deployed, parts, body.into_bytes()).await
    }

    /// What the deployed console's function gives back for an event of the API, by the way of its
    /// runtime.
    pub(crate) async fn console_event(&self, event: &Value) -> Value {
        answer_to_event(&self.console.deployed, event).await
    }

    /// The console on a port of this machine, where the person types their name. Serves until the
    /// test's runtime ends.
    pub(crate) async fn serve_console(&self) -> String {
        serve_app(&self.console.here).await
    }

    /// The same where days are run by a schedule, the day before each morning.
    pub(crate) async fn serve_scheduled_console(&self) -> String {
        serve_app(&self.console.scheduled).await
    }

    /// What the API shows of a day.
    pub(crate) async fn shown_day(&self, date: BillDate) -> Value {
        let claims = json!({
            "email": "li@example.com", "email_verified": "true", "cognito:groups": "[finance]"
        });
        let asked = Request::get(format!("/v1/reconciliations/{date}")).body(String::new());
        let shown = self.console(Some(claims), asked.expect("a request")).await;
        serde_json::from_str(shown.body()).expect("JSON")
    }

    /// What went into the queue of work on reconciliations since this was last read.
    pub(crate) async fn reconcile_work(&self) -> Vec<Value> {
        self.queues.bodies(WORK)
    }

    /// The day so many days before today, in Beijing.
    pub(crate) fn day(&self, before_today: i64) -> BillDate {
        BillDate::of(self.clock.now()).plus_days(-before_today)
    }

    /// Writes a run down.
    pub(crate) async fn write_run(&self, run: &Run) {
        let saved = self.reconciliation.save_run(run).await.expect("a table");
        assert_eq!(saved, SaveOutcome::Saved);
    }

    /// Writes a difference down that a run found, and steps that others took.
    pub(crate) async fn write_difference(&self, found: Difference, steps: &[Difference]) {
        self.reconciliation.find(&found).await.expect("a table");
        for step in steps {
            let saved = self.reconciliation.save_difference(step).await;
            assert_eq!(saved.expect("a table"), SaveOutcome::Saved);
        }
    }

    /// Writes down what differences of yesterday make of its run's sums of QR codes.
    pub(crate) async fn write_gaps(&self, run: &mut Run, of_each: &[(DifferenceKind, &str, Gap)]) {
        let mut accounted_for = Gaps::default();
        let mut gaps = BTreeMap::new();
        for (kind, order_no, gap) in of_each {
            accounted_for.add("NATIVE", *gap);
            let mut of_one = Gaps::default();
            of_one.add("NATIVE", *gap);
            gaps.insert(self.difference(*kind, order_no).id, of_one);
        }
        let part = run.parts_done.get_mut(&0).expect("a part");
        (part.accounted_for, part.gaps_of) = (Some(accounted_for), Some("once".to_owned()));
        let table = &self.reconciliation;
        let saved = table.save_gaps(run.date, &run.id, 0, "once", &gaps);
        saved.await.expect("a table");
    }

    /// A difference of this kind, as yesterday's run finds it.
    pub(crate) fn difference(&self, kind: DifferenceKind, order_no: &str) -> Difference {
        let date = self.day(1);
        let about = DifferenceSubject {
            order_no: Some(order_no.to_owned()),
            transaction_id: Some(format!("42000012342026080100{:08}", order_no.len())),
            line: Some(7),
            ..DifferenceSubject::default()
        };
        let at = UnixSeconds(date.starts_at().0 + 9 * 3600);
        let there = SideView {
            amount_fen: Some(12_850),
            state: Some("SUCCESS".to_owned()),
            at: Some(at),
            ..SideView::default()
        };
        let ours = |fen, state: &str, note: Option<&str>| SideView {
            amount_fen: Some(fen),
            state: Some(state.to_owned()),
            at: None,
            note: note.map(str::to_owned),
            ..SideView::default()
        };
        let here = if kind == DifferenceKind::PaidThereUnpaidHere {
            Some(ours(12_850, "closed", None))
        } else if kind == DifferenceKind::AmountDiffers {
            Some(ours(12_800, "paid", Some("ordered for 128.00")))
        } else {
            None
        };
        Difference::found(
            date,
            kind,
            about,
            Some(there),
            here,
            "run-1",
            self.clock.now(),
        )
    }

    /// A day's run that is through, with these sums of QR codes and of pages inside WeChat, there
    /// and here.
    pub(crate) fn done(&self, date: BillDate, there: [i64; 2], here: [i64; 2]) -> Run {
        let mut run = Run::begun(
            date,
            "8f3a1c5e",
            false,
            UnixSeconds(date.ends_at().0 + 37_800),
        );
        run.state = RunState::Done;
        if let Some(funds) = &mut run.funds {
            funds.state = FundState::Done;
        }
        run.updated_at = UnixSeconds(run.started_at.0 + 42);
        for (name, rows) in [(BillName::Trade, 214), (BillName::FundBasic, 220)] {
            let sha1 = "79bb0f45fc4c42234a918000b2668d689e2bde04";
            let facts = BillFacts {
                rows,
                sha1: Some(sha1.to_owned()),
                kept_as: Some(format!(
                    "bills/1900000001/{date}/{}-{sha1}.csv.gz",
                    name.name()
                )),
            };
            run.bills.insert(name, facts);
        }
        let facts = BillFacts {
            rows: 0,
            sha1: None,
            kept_as: None,
        };
        run.bills.insert(BillName::FundFees, facts);
        let side = |paid: [i64; 2], is_bill: bool| {
            let sums = |paid_fen: i64, payments: i64, refunded_fen: i64| Sums {
                payments: payments.unsigned_abs(),
                payments_fen: paid_fen,
                settlement_fen: if is_bill { paid_fen } else { 0 },
                refunds: u64::from(refunded_fen > 0),
                refunds_fen: refunded_fen,
                refunds_settlement_fen: if is_bill { refunded_fen } else { 0 },
                fees: if is_bill {
                    (paid_fen - refunded_fen) * 6
                } else {
                    0
                },
            };
            Totals(BTreeMap::from([
                ("NATIVE".to_owned(), sums(paid[0], paid[0] / 4_000, 3_950)),
                ("JSAPI".to_owned(), sums(paid[1], paid[1] / 2_500, 0)),
            ]))
        };
        run.parts_done.insert(
            0,
            PartDone {
                there: side(there, true),
                here: side(here, false),
                differences: BTreeMap::new(),
                carried: 3,
                accounted_for: Some(Gaps::default()),
                gaps_of: None,
                left_of: None,
            },
        );
        run
    }

    /// A month as it might be: most days agree, some do not, one failed, one was never run;
    /// yesterday has something of most states.
    pub(crate) async fn a_month(&self) {
        for back in 2..=34_i64 {
            if back == 9 {
                continue;
            }
            let date = self.day(back);
            let paid = [
                1_200_000 + (back * 7_919 % 13) * 61_000,
                640_000 + (back * 104_729 % 11) * 47_000,
            ];
            let here = if back % 7 == 4 {
                [paid[0] - 99_900, paid[1]]
            } else {
                paid
            };
            let mut run = self.done(date, paid, here);
            if back == 16 {
                run = Run::begun(date, "77aa", false, run.started_at);
                run.state = RunState::Failed;
                run.trouble = Some(
                    "The bill’s SHA-1 is not the one that WeChat Pay gave: run it again."
                        .to_owned(),
                );
            }
            if back == 11 {
                let part = run.parts_done.get_mut(&0).expect("a part");
                part.differences.insert(DifferenceKind::FeeOffTheRate, 1);
                let mut fee = self.difference(DifferenceKind::FeeOffTheRate, "fee-0001");
                fee.date = date;
                self.write_difference(fee, &[]).await;
            }
            self.write_run(&run).await;
        }
        let mut run = self.done(self.day(1), [1_634_250, 865_100], [1_613_600, 865_100]);
        let part = run.parts_done.get_mut(&0).expect("a part");
        for kind in [
            DifferenceKind::PaidThereUnpaidHere,
            DifferenceKind::DuplicatePayment,
            DifferenceKind::UnknownOrderThere,
            DifferenceKind::AmountDiffers,
        ] {
            part.differences.insert(kind, 2);
        }
        // What each makes of the day's 206.50: the payment that was settled before is in both sums.
        let gap = |payments, paid_fen| Gap {
            payments,
            paid_fen,
            ..Gap::default()
        };
        let of_each = [
            (
                DifferenceKind::PaidThereUnpaidHere,
                "tea-04188",
                gap(1, 12_850),
            ),
            (
                DifferenceKind::UnknownOrderThere,
                "<script>alert(1)</script>",
                gap(4, 7_700),
            ),
            (DifferenceKind::AmountDiffers, "ticket-88", gap(0, 50)),
            (DifferenceKind::AmountDiffers, "ticket-1090", gap(0, 50)),
        ];
        self.write_gaps(&mut run, &of_each).await;
        self.write_run(&run).await;
        let now = self.clock.now();
        let found = |kind, order_no| self.difference(kind, order_no);
        let settled = found(DifferenceKind::PaidThereUnpaidHere, "tea-0417");
        let repaired = settled.repaired(
            "run-1",
            "WeChat Pay confirms the payment: it is settled",
            now,
        );
        self.write_difference(settled, &[repaired]).await;
        self.write_difference(found(DifferenceKind::PaidThereUnpaidHere, "tea-04188"), &[])
            .await;
        let twice = found(DifferenceKind::DuplicatePayment, "books-0042");
        let proposed = twice.proposed("run-1", "the order has another payment already", now);
        self.write_difference(twice, &[proposed]).await;
        let unknown = found(
            DifferenceKind::UnknownOrderThere,
            "<script>alert(1)</script>",
        );
        self.write_difference(unknown, &[]).await;
        let differs = found(DifferenceKind::AmountDiffers, "ticket-88");
        let explained = differs
            .decided(
                Decision::Explain,
                "zhao",
                "50 fen were waived at the counter, slip 1204",
                now,
            )
            .expect("a decision");
        self.write_difference(differs, &[explained]).await;
        self.write_difference(found(DifferenceKind::AmountDiffers, "ticket-1090"), &[])
            .await;
    }
}

/// What the console's function gives back for an event of the API, by the way of its runtime.
pub(crate) async fn answer_to_event(app: &Arc<App>, event: &Value) -> Value {
    let app = Arc::clone(app);
    let mut service = Adapter::from(service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, lambda_http::Error>(answer::serve(&app, request).await) }
    }));
    let payload: LambdaRequest =
        serde_json::from_str(&event.to_string()).expect("an event of the API");
    let event = LambdaEvent::new(payload, Context::default());
    let answer = service.call(event).await.expect("an answer");
    serde_json::to_value(answer).expect("JSON")
}

pub(crate) async fn serve_app(app: &Arc<App>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(serve).with_state(Arc::clone(app));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn serve(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response<String> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    handler::serve(&app, parts, body.to_vec()).await
}
