//! The pages, and what their forms send.

use flows::problem::{ErrorChain, Problem};
use lambda_http::http::{
    HeaderValue, Response, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use payments::{
    model::{bill_date::BillDate, ids::OrderNo, journal::Event},
    reconcile::{
        day_runs::DayRuns,
        difference::Difference,
        lateness::{EARLIER_DAYS, WATCHED_DAYS},
        run::Run,
    },
    rules::waterfall::waterfall,
};
use stores::reconciliation::ReconciliationError;
use tracing::warn;

use super::Request;
use crate::{
    input::{self, DECISIONS, FormFields, RunForm, decision_name},
    listing,
    pages::{self, ChartDay, DayView, DifferenceView, RejectedForm, style},
    route::Page,
    runs::{DayAlerts, KnownRuns},
    text,
};

/// How long a page shows a run as requested, in seconds.
const STARTING_S: i64 = 900;
/// How many days the chart shows.
const CHART_DAYS: i64 = 30;

impl Request<'_> {
    pub(super) async fn page(&self, route: Page<'_>) -> Result<Response<String>, Problem> {
        // Here for all routes, so that none can forget it.
        if route.changes_something() {
            self.needs_our_form()?;
        }
        match route {
            Page::Latest => self.latest().await,
            Page::Style => Ok(style::answer()),
            Page::Day { date } => self.day_page(input::day(date)?).await,
            Page::Run { date } => {
                let date = input::day(date)?;
                let asked = self.form().run()?;
                let at = self.app.clock.now().0;
                self.start_run(date, asked).await?;
                let done = if asked.dry_run { "preview" } else { "run" };
                Ok(see_other(&format!("/console/{date}?done={done}&at={at}")))
            }
            Page::Difference { date, id } => {
                let difference = self.difference(input::day(date)?, id).await?;
                let view = self.difference_page(&difference, None).await;
                Ok(pages::answer(StatusCode::OK, pages::difference(&view)))
            }
            Page::Decide { date, id } => self.decide_by_form(input::day(date)?, id).await,
            Page::Order { order_no } => self.order(order_no).await,
            Page::Map => Ok(self.map().await),
        }
    }

    /// One order's way, from its journal. A number that cannot be one has no order.
    async fn order(&self, order_no: &str) -> Result<Response<String>, Problem> {
        let order_no = OrderNo::parse(order_no).map_err(|_| Problem::no_route())?;
        let journal = self.app.orders.journal(&order_no).await?;
        let way = waterfall(&order_no, &journal);
        let status = match way {
            Some(_) => StatusCode::OK,
            None => StatusCode::NOT_FOUND,
        };
        let page = pages::order(self.viewer, &order_no, way.as_ref());
        Ok(pages::answer(status, page))
    }

    /// The day that was picked, or yesterday. If the current day may be reconciled, it is that day
    /// once a run of it exists.
    async fn latest(&self) -> Result<Response<String>, Problem> {
        if let Some(day) = self.query().get("day") {
            let date = input::day(day)?;
            return Ok(see_other(&format!("/console/{date}")));
        }
        let (latest, yesterday) = (self.app.latest_day(), self.app.yesterday());
        let date = if latest > yesterday && self.is_run(latest).await? {
            latest
        } else {
            yesterday
        };
        Ok(see_other(&format!("/console/{date}")))
    }

    async fn is_run(&self, date: BillDate) -> Result<bool, Problem> {
        let runs = self.app.table.day_runs(date).await?;
        Ok(runs.shown().is_some())
    }

    /// What is wrong with the days of the last week: every page says it first.
    async fn alerts(&self) -> Result<DayAlerts, ReconciliationError> {
        let known = KnownRuns::read(&self.app.table, &self.last_days()).await?;
        Ok(self.alerts_of(&self.last_week(), &known))
    }

    /// What is wrong with these days. `known` has some earlier ones too.
    fn alerts_of(&self, days: &[BillDate], known: &KnownRuns) -> DayAlerts {
        let mut alerts = known.alerts(
            days,
            (self.app.daily_run, self.app.repairs),
            self.app.clock.now(),
        );
        if self.app.today_too {
            // There is no schedule.
            alerts.missing = Vec::new();
        }
        alerts
    }

    fn last_week(&self) -> Vec<BillDate> {
        days(self.app.yesterday(), WATCHED_DAYS)
    }

    /// The last week, and the days before it that are read for it.
    fn last_days(&self) -> Vec<BillDate> {
        days(self.app.yesterday(), WATCHED_DAYS + EARLIER_DAYS)
    }

    async fn day_page(&self, date: BillDate) -> Result<Response<String>, Problem> {
        let query = self.query();
        let filter = query.filter()?;
        let today = BillDate::of(self.app.clock.now());
        // The last days, or those around an earlier one.
        let last = self.app.latest_day().max(date.min(today));
        let shown = days(last.min(date.plus_days(CHART_DAYS / 2)), CHART_DAYS);
        let table = &self.app.table;
        let read = [vec![date], with_earlier(&shown), self.last_days()].concat();
        let known = KnownRuns::read(table, &read).await?;
        let (of_day, is_unreadable) = match known.of(date) {
            Some(of_day) => (of_day, false),
            None => (DayRuns::default(), true),
        };
        let day = listing::day(table, date, of_day.shown(), filter).await?;
        let (alerts, red) = (
            self.alerts_of(&self.last_week(), &known),
            self.alerts_of(&shown, &known),
        );
        let runs = known.into_runs_of(&shown);
        let needing = listing::needing_of_each(table, &runs).await?;
        let chart: Vec<ChartDay> = shown
            .into_iter()
            .map(|date| {
                let needing = needing.iter().find(|(day, _)| *day == date);
                let run = runs.iter().find(|(day, _)| *day == date);
                let run = run.and_then(|(_, runs)| runs.shown());
                ChartDay::of(date, run, needing.map(|(_, needing)| *needing))
                    .missing(red.missing.contains(&date))
                    .unreadable(red.unreadable.contains(&date))
            })
            .collect();
        let view = DayView {
            viewer: self.viewer,
            date,
            run: of_day.shown(),
            preview: of_day.preview_beside(),
            is_missing: red.missing.contains(&date),
            is_unreadable,
            alerts: &alerts,
            daily_run: self.app.daily_run,
            day: &day,
            filter,
            chart: &chart,
            has_bill: self.app.has_bill_of(date),
            has_next: date < today,
            now: self.app.clock.now(),
            later_are_done: self.later_are_done(&of_day).await?,
            started: self.started(&query, &of_day),
        };
        Ok(pages::answer(StatusCode::OK, pages::day(&view)))
    }

    /// Whether the later days to whose bills trades of this day were left have been reconciled.
    async fn later_are_done(&self, of_day: &DayRuns) -> Result<bool, Problem> {
        let Some(run) = of_day.shown().filter(|run| run.carried() > 0) else {
            return Ok(true);
        };
        let until = i64::from(text::left_for_days(run));
        let later: Vec<BillDate> = (1..=until).map(|days| run.date.plus_days(days)).collect();
        let known = KnownRuns::read(&self.app.table, &later).await?;
        let is_through = |date: &BillDate| {
            let runs = known.of(*date);
            runs.is_some_and(|runs| runs.shown().is_some_and(Run::is_through))
        };
        Ok(later.iter().all(is_through))
    }

    /// The requested run named in the URL, as long as none has started since.
    fn started(&self, query: &FormFields, of_day: &DayRuns) -> Option<RunForm> {
        let dry_run = match query.get("done")? {
            "run" => false,
            "preview" => true,
            _ => return None,
        };
        let at: i64 = query.get("at")?.parse().ok()?;
        let run = if dry_run {
            of_day.preview()
        } else {
            of_day.run()
        };
        let has_begun = run.is_some_and(|run| run.started_at.0 >= at);
        let age_s = self.app.clock.now().0.saturating_sub(at);
        let is_new = (0..=STARTING_S).contains(&age_s);
        (is_new && !has_begun).then_some(RunForm { dry_run })
    }

    async fn decide_by_form(&self, date: BillDate, id: &str) -> Result<Response<String>, Problem> {
        let form = self.form();
        let decided = async {
            let person = self
                .viewer
                .decides(Some(form.get("you").unwrap_or_default()))?;
            let asked = form.decision()?;
            let difference = self.decide(date, id, &asked, &person).await?;
            Ok::<_, Problem>((asked.decision, difference, person))
        };
        match decided.await {
            Ok((decision, difference, person)) => {
                let mut answer = see_other(&format!(
                    "/console/{date}/differences/{}?done={}",
                    difference.id,
                    decision_name(decision)
                ));
                if self.viewer.types_in() {
                    let cookie = HeaderValue::from_str(&person.cookie());
                    answer
                        .headers_mut()
                        .extend(cookie.ok().map(|cookie| (SET_COOKIE, cookie)));
                }
                Ok(answer)
            }
            Err(problem) => self.again(date, id, &form, problem).await,
        }
    }

    /// The page again, with the error and the person's input.
    async fn again(
        &self,
        date: BillDate,
        id: &str,
        form: &FormFields,
        problem: Problem,
    ) -> Result<Response<String>, Problem> {
        let Ok(difference) = self.difference(date, id).await else {
            return Err(problem);
        };
        let draft = RejectedForm {
            problem: &problem,
            you: form.get("you").unwrap_or_default(),
            why: form.get("why").unwrap_or_default(),
            client: form.get("client").unwrap_or_default(),
        };
        let view = self.difference_page(&difference, Some(draft)).await;
        Ok(pages::answer(problem.status, pages::difference(&view)))
    }

    async fn difference_page<'a>(
        &'a self,
        difference: &'a Difference,
        draft: Option<RejectedForm<'a>>,
    ) -> DifferenceView<'a> {
        let query = self.query();
        let done = DECISIONS
            .into_iter()
            .find(|decision| query.get("done") == Some(decision_name(*decision)));
        DifferenceView {
            viewer: self.viewer,
            alerts: self.alerts_if_known().await,
            daily_run: self.app.daily_run,
            difference,
            journal: self.journal(difference).await,
            now: self.app.clock.now(),
            explain_alone: self.app.explain_alone,
            done: done.and_then(|decision| text::done(decision, difference)),
            draft,
        }
    }

    /// The same for a page that is of use without it.
    async fn alerts_if_known(&self) -> DayAlerts {
        self.alerts().await.unwrap_or_else(|error| {
            warn!(error = %ErrorChain(&error), "whether the last days were run is not shown");
            DayAlerts::default()
        })
    }

    /// The order in our books, if it can exist. A page without it is better than no page.
    async fn journal(&self, difference: &Difference) -> Option<Vec<Event>> {
        let order_no = difference.about.order_no.as_deref()?;
        let order_no = OrderNo::parse(order_no).ok()?;
        match self.app.orders.journal(&order_no).await {
            Ok(journal) => Some(journal),
            Err(error) => {
                warn!(error = %ErrorChain(&error), "the journal is not shown");
                None
            }
        }
    }

    /// Only a form that one of our pages sent: browsers state the origin of a form, and a page
    /// cannot fake it.
    fn needs_our_form(&self) -> Result<(), Problem> {
        let is_ours = match self.incoming.header("sec-fetch-site") {
            Some(site) => site == "same-origin",
            None => {
                let origin = self.incoming.header("origin").unwrap_or_default();
                let origin = origin.split_once("://").map(|(_, host)| host);
                origin.is_some_and(|host| !host.is_empty() && host == self.incoming.authority())
            }
        };
        if !is_ours {
            return Err(Problem::cross_site());
        }
        if !self
            .incoming
            .is_of_type("application/x-www-form-urlencoded")
        {
            return Err(Problem::not_a_form());
        }
        Ok(())
    }

    fn form(&self) -> FormFields {
        FormFields::read(self.incoming.body())
    }
}

/// The `count` days that end with `last`.
fn days(last: BillDate, count: i64) -> Vec<BillDate> {
    (0..count).rev().map(|back| last.plus_days(-back)).collect()
}

/// These days, and some before them.
fn with_earlier(shown: &[BillDate]) -> Vec<BillDate> {
    let first = shown.first().map(|first| first.plus_days(-1));
    let earlier = first.map(|last| days(last, EARLIER_DAYS));
    let mut all = earlier.unwrap_or_default();
    all.extend_from_slice(shown);
    all
}

fn see_other(location: &str) -> Response<String> {
    let mut answer = Response::new(String::new());
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(location);
    answer
        .headers_mut()
        .extend(location.ok().map(|location| (LOCATION, location)));
    pages::uncached(answer)
}
