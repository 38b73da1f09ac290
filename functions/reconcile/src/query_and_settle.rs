//! A payment of a difference -> WeChat Pay is asked -> what it says is settled.

use flows::{origin::Origin, settle_payment::SettleOutcome};
use payments::model::ids::TransactionId;

use crate::{
    app::App,
    error::DayError,
    query::{self, QueryResult},
};

/// Asks about a payment and settles what WeChat Pay says, as a callback would be.
///
/// # Errors
/// [`DayError`] when WeChat Pay did not answer, or our side did not.
pub(crate) async fn settled(
    app: &App,
    transaction_id: &TransactionId,
    origin: &Origin,
) -> Result<QueryResult<SettleOutcome>, DayError> {
    Ok(match query::payment(app, transaction_id).await? {
        Ok(answer) => Ok(app.settling.settle(&answer.notice, origin).await?),
        Err(why) => Err(why),
    })
}
