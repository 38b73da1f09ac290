//! What `console` works with; built once per sandbox.

use flows::sandbox::Sandbox;
use payments::reconcile::difference::SoloExplainLimit;
use runtime::{aws::CloudWatch, clock::Clock, random::Random};
use service_map::metric::StackNames;
use stores::{
    notices::Notices, order_table::OrderTable, queues::Queue, reconciliation::ReconciliationTable,
};

use crate::{
    daily_run::DailyRun,
    settings::{Auth, Settings},
};

/// The parts of the function. Building them makes no call.
#[derive(Debug)]
pub struct App {
    pub(crate) table: ReconciliationTable,
    pub(crate) orders: OrderTable,
    pub(crate) work: Queue,
    pub(crate) auth: Auth,
    pub(crate) today_too: bool,
    /// Whether the daily run repairs, or only reports.
    pub(crate) repairs: bool,
    pub(crate) daily_run: DailyRun,
    pub(crate) explain_alone: SoloExplainLimit,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Where the service map's figures come from, and what they are named after there.
    pub(crate) cloudwatch: CloudWatch,
    pub(crate) names: StackNames,
}

impl App {
    /// Puts the parts together.
    pub fn open(settings: Settings, sandbox: &Sandbox) -> Self {
        let Sandbox { aws, clock, random } = sandbox;
        Self {
            table: ReconciliationTable::new(
                aws.dynamodb(),
                settings.reconciliation_table,
                settings.mchid.clone(),
            )
            .with_ledger(Notices::new(
                aws.dynamodb(),
                settings.notices_table,
                settings.mchid.clone(),
            )),
            orders: OrderTable::new(aws.dynamodb(), settings.orders_table, settings.mchid),
            work: Queue::new(aws.sqs(), settings.work_url),
            auth: settings.auth,
            today_too: settings.today_too,
            repairs: settings.repairs,
            daily_run: settings.daily_run,
            explain_alone: settings.explain_alone,
            clock: clock.clone(),
            random: random.clone(),
            cloudwatch: aws.cloudwatch(settings.cloudwatch_endpoint.as_deref()),
            names: settings.names,
        }
    }
}
