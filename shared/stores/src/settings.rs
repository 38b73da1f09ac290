//! Settings that several functions share, read in groups. Each function's own `settings.rs` picks
//! the groups it needs; all that is missing or malformed is reported at once.

use runtime::env::SettingsReader;

/// The keys: their table and the KMS key that seals secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeysSettings {
    /// `KEYS_TABLE`.
    pub table: String,
    /// `SECRETS_KEY_ID`.
    pub secrets_key_id: String,
}

impl KeysSettings {
    /// Reads the group.
    pub fn read(reader: &mut SettingsReader<'_>) -> Option<Self> {
        let table = reader.required("KEYS_TABLE", "the name of the keys table");
        let secrets_key_id = reader.required(
            "SECRETS_KEY_ID",
            "the id or ARN of the KMS key that seals secrets",
        );
        Some(Self {
            table: table?,
            secrets_key_id: secrets_key_id?,
        })
    }
}

/// Reads `ORDERS_TABLE`.
pub fn orders_table(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required("ORDERS_TABLE", "the name of the orders table")
}

/// Reads `GUARDS_TABLE`.
pub fn guards_table(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required("GUARDS_TABLE", "the name of the guards table")
}

/// Reads `RECONCILIATION_TABLE`.
pub fn reconciliation_table(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required(
        "RECONCILIATION_TABLE",
        "the name of the reconciliation table",
    )
}

/// Reads `RECONCILE_WORK_QUEUE_URL`.
pub fn reconcile_work_url(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required(
        "RECONCILE_WORK_QUEUE_URL",
        "the URL of the queue reconcile-work",
    )
}

/// Reads `PAYMENT_RESULTS_QUEUE_URL`.
pub fn payment_results_url(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required(
        "PAYMENT_RESULTS_QUEUE_URL",
        "the URL of the queue payment-results",
    )
}

/// Reads `WEBHOOKS_QUEUE_URL`.
pub fn webhooks_url(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required("WEBHOOKS_QUEUE_URL", "the URL of the queue webhooks")
}

/// Reads `NOTIFICATIONS_QUEUE_URL`.
pub fn notifications_url(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required(
        "NOTIFICATIONS_QUEUE_URL",
        "the URL of the queue notifications",
    )
}

/// Reads `FORWARD_ERRORS_DLQ_URL`.
pub fn forward_errors_dlq_url(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required(
        "FORWARD_ERRORS_DLQ_URL",
        "the URL of the dead-letter queue forward-errors-dlq",
    )
}

/// Reads `NOTICES_TABLE`.
pub fn notices_table(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required("NOTICES_TABLE", "the name of the notices table")
}

/// Reads `UNDELIVERED_EVENTS_TABLE`.
pub fn undelivered_events_table(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required(
        "UNDELIVERED_EVENTS_TABLE",
        "the name of the table of undelivered events",
    )
}

/// Reads `FIELDS_KEY_ID`.
pub fn fields_key_id(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.required(
        "FIELDS_KEY_ID",
        "the id or ARN of the KMS key that seals personal fields",
    )
}

/// Reads `WECHATPAY_MCHID`.
pub fn mchid(reader: &mut SettingsReader<'_>) -> Option<String> {
    reader.parsed(
        "WECHATPAY_MCHID",
        "the merchant number, 8 to 10 digits",
        |text| {
            let digits =
                (8..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.to_owned())
        },
    )
}
