//! What `reconcile` is told by its environment.

use adapters::{
    aws::AwsSettings,
    env::{Reader, SettingsError, Vars},
    settings::CoreSettings,
};

use crate::part::LINES;

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach AWS.
    pub aws: AwsSettings,
    /// Tables, queue, keys and WeChat Pay.
    pub core: CoreSettings,
    /// `RECONCILIATION_TABLE`.
    pub reconciliation_table: String,
    /// `RECONCILE_WORK_QUEUE_URL`.
    pub work_queue_url: String,
    /// `EVIDENCE_BUCKET`.
    pub evidence_bucket: String,
    /// `RECONCILE_REPAIRS`.
    pub repairs: bool,
    /// `RECONCILE_LINES_MAX`.
    pub lines_max: u64,
}

impl Settings {
    /// Reads them all.
    ///
    /// # Errors
    /// [`SettingsError`] names everything that is missing or malformed.
    pub fn read(vars: &dyn Vars) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(vars);
        let aws = AwsSettings::read(&mut reader);
        let core = CoreSettings::read(&mut reader);
        let reconciliation_table = reader.required(
            "RECONCILIATION_TABLE",
            "the name of the reconciliation table",
        );
        let work_queue_url = reader.required(
            "RECONCILE_WORK_QUEUE_URL",
            "the URL of the queue reconcile-work",
        );
        let evidence_bucket = reader.required(
            "EVIDENCE_BUCKET",
            "the name of the bucket that bills are kept in",
        );
        let repairs = reader.choice(
            "RECONCILE_REPAIRS",
            "`true` (the daily run repairs) or `false` (it only looks)",
            &[("true", true), ("false", false)],
        );
        let lines_max = reader.parsed_or(
            "RECONCILE_LINES_MAX",
            "how many orders and refunds of a day one run holds, 1 or more",
            LINES,
            |text| text.parse().ok().filter(|lines| *lines > 0),
        );
        reader.finish(|| {
            Some(Self {
                aws: aws?,
                core: core?,
                reconciliation_table: reconciliation_table?,
                work_queue_url: work_queue_url?,
                evidence_bucket: evidence_bucket?,
                repairs: repairs?,
                lines_max: lines_max?,
            })
        })
    }
}
