//! The JSON routes, and the CSV file.

use flows::{problem::Problem, view};
use lambda_http::http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION},
};
use payments::model::bill_date::BillDate;
use serde_json::json;

use super::{Request, set};
use crate::{
    csv,
    input::{self, DecisionRequest, Filter, FormFields, RunForm},
    json, listing,
    route::Api,
};

impl Request<'_> {
    pub(super) async fn api(&self, route: Api<'_>) -> Result<Response<String>, Problem> {
        let query = self.incoming.query().unwrap_or_default().as_bytes();
        let query = FormFields::query(query, route.parameters())?;
        // Here for all routes, so that none can forget it.
        if route.changes_something() {
            self.needs_json()?;
        } else {
            self.incoming.has_no_body()?;
        }
        match route {
            Api::Day { date } => self.show_day(input::day(date)?).await,
            Api::Run { date } => self.run_day(input::day(date)?).await,
            Api::Differences { date } => self.list(input::day(date)?, &query).await,
            Api::Csv { date } => self.csv(input::day(date)?, &query).await,
            Api::Difference { date, id } => {
                let difference = self.difference(input::day(date)?, id).await?;
                Ok(view::answer(StatusCode::OK, &json::difference(&difference)))
            }
            Api::Decide { date, id } => {
                let asked: DecisionRequest = input::json(self.incoming.body())?;
                let person = self.viewer.decides(None)?;
                let date = input::day(date)?;
                let decided = self.decide(date, id, &asked, &person).await?;
                Ok(view::answer(StatusCode::OK, &json::difference(&decided)))
            }
        }
    }

    async fn show_day(&self, date: BillDate) -> Result<Response<String>, Problem> {
        let runs = self.app.table.day_runs(date).await?;
        let run = runs.shown().ok_or_else(|| Problem::not_reconciled(date))?;
        let day = listing::day(&self.app.table, date, Some(run), Filter::default()).await?;
        Ok(view::answer(
            StatusCode::OK,
            &json::day(run, runs.preview_beside(), &day),
        ))
    }

    async fn run_day(&self, date: BillDate) -> Result<Response<String>, Problem> {
        let asked: RunForm = input::json(self.incoming.body())?;
        let run_id = self.start_run(date, asked).await?;
        let body = json!({"date": date, "run_id": run_id, "dry_run": asked.dry_run});
        let mut answer = view::answer(StatusCode::ACCEPTED, &body);
        let location = HeaderValue::from_str(&format!("/v1/reconciliations/{date}"));
        answer
            .headers_mut()
            .extend(location.ok().map(|location| (LOCATION, location)));
        Ok(answer)
    }

    async fn list(&self, date: BillDate, query: &FormFields) -> Result<Response<String>, Problem> {
        let asked = query.list()?;
        let piece = listing::piece(&self.app.table, date, &asked).await?;
        Ok(view::answer(StatusCode::OK, &json::list(&piece)))
    }

    async fn csv(&self, date: BillDate, query: &FormFields) -> Result<Response<String>, Problem> {
        let filter = query.filter()?;
        let file = listing::file(&self.app.table, date, filter).await?;
        let file = file.ok_or_else(Problem::too_many_for_a_file)?;
        let mut answer = Response::new(file);
        set(&mut answer, CONTENT_TYPE, "text/csv; charset=utf-8");
        set(&mut answer, CACHE_CONTROL, "no-store");
        let name = format!("attachment; filename=\"{}\"", csv::name(date, filter));
        let name = HeaderValue::from_str(&name);
        answer
            .headers_mut()
            .extend(name.ok().map(|name| (CONTENT_DISPOSITION, name)));
        Ok(answer)
    }

    pub(super) fn query(&self) -> FormFields {
        FormFields::read(self.incoming.query().unwrap_or_default().as_bytes())
    }

    /// No page of another site can send this type without asking us first, and we never agree.
    fn needs_json(&self) -> Result<(), Problem> {
        if self.incoming.is_json() {
            Ok(())
        } else {
            Err(Problem::not_json())
        }
    }
}
