//! How what a client's key may do is stored: `scopes`, and a number of fen for each limit.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::permissions::{AmountLimits, LimitFen, Permissions, Scopes};

use crate::attributes::{Item, number, text};

pub(super) const SCOPES: &str = "scopes";
pub(super) const ORDER_MAX: &str = "order_max_fen";
pub(super) const REFUND_MAX: &str = "refund_max_fen";

/// Reads them; an error says what is wrong. What cannot be read is never taken for "no limit".
pub(super) fn read(item: &Item) -> Result<Permissions, &'static str> {
    let scopes = match item.get(SCOPES) {
        // It was registered before keys had scopes.
        None => Scopes::of_earlier_keys(),
        Some(stored) => {
            let names = stored.as_l().map_err(|_| "its `scopes` are no list")?;
            let names = names.iter().filter_map(|name| name.as_s().ok());
            Scopes::named(names.map(String::as_str))
                .ok_or("this version knows none of its `scopes`")?
        }
    };
    Ok(Permissions {
        scopes,
        limits: AmountLimits {
            order_max: limit(item, ORDER_MAX).map_err(|_| "its `order_max_fen` is no limit")?,
            refund_max: limit(item, REFUND_MAX).map_err(|_| "its `refund_max_fen` is no limit")?,
        },
    })
}

/// The attributes of a new key.
pub(super) fn attributes(
    permissions: &Permissions,
) -> impl Iterator<Item = (String, AttributeValue)> {
    let AmountLimits {
        order_max,
        refund_max,
    } = permissions.limits;
    let limits = [(ORDER_MAX, order_max), (REFUND_MAX, refund_max)];
    let limits = limits
        .into_iter()
        .filter_map(|(name, limit)| Some((name.to_owned(), number(limit?.get()))));
    std::iter::once((SCOPES.to_owned(), scopes(&permissions.scopes))).chain(limits)
}

/// A list, since DynamoDB returns a set in any order: an item that was written before is compared
/// with what was to be written.
pub(super) fn scopes(scopes: &Scopes) -> AttributeValue {
    AttributeValue::L(scopes.iter().map(|scope| text(scope.name())).collect())
}

struct NoLimit;

fn limit(item: &Item, name: &str) -> Result<Option<LimitFen>, NoLimit> {
    let Some(stored) = item.get(name) else {
        return Ok(None);
    };
    let fen = stored.as_n().ok().and_then(|fen| fen.parse().ok());
    let limit = fen.and_then(LimitFen::new);
    limit.map(Some).ok_or(NoLimit)
}
