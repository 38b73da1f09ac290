//! Money in whole fen, everywhere from the API to the table.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in fen, one hundredth of a yuan: the unit in WeChat Pay's API and in our table. Never
/// zero or negative: WeChat Pay accepts orders from 1 fen (`amount.total`, document 4012791856).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Fen(i64);

impl Fen {
    /// Ten million yuan. Nothing sold here costs more; a larger number is a bug or an attack, not
    /// an order.
    pub const MAX: Self = Self(1_000_000_000);

    /// The amount, if it is one that an order can have: 1 to [`Fen::MAX`].
    pub const fn new(fen: i64) -> Option<Self> {
        if fen < 1 || fen > Self::MAX.0 {
            None
        } else {
            Some(Self(fen))
        }
    }

    /// The number of fen.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// A number that is not a valid amount of an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} fen is not between 1 and {max}", max = Fen::MAX.0)]
pub struct NotAnAmount(pub i64);

impl TryFrom<i64> for Fen {
    type Error = NotAnAmount;

    fn try_from(fen: i64) -> Result<Self, NotAnAmount> {
        Self::new(fen).ok_or(NotAnAmount(fen))
    }
}

impl From<Fen> for i64 {
    fn from(fen: Fen) -> Self {
        fen.0
    }
}

impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fen", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_from_one_fen_to_ten_million_yuan() {
        for (fen, allowed) in [
            (i64::MIN, false),
            (-1, false),
            (0, false),
            (1, true),
            (1_000_000_000, true),
            (1_000_000_001, false),
        ] {
            assert_eq!(Fen::new(fen).is_some(), allowed, "{fen}");
            assert_eq!(
                serde_json::from_str::<Fen>(&fen.to_string()).is_ok(),
                allowed,
                "{fen} as JSON"
            );
        }
    }

    #[test]
    fn an_amount_says_its_unit() {
        let amount = Fen::new(100).expect("an amount");
        assert_eq!(amount.to_string(), "100 fen");
    }

    #[test]
    fn an_amount_with_a_decimal_point_is_not_read() {
        assert!(serde_json::from_str::<Fen>("100.0").is_err());
        assert!(serde_json::from_str::<Fen>("1e2").is_err());
    }
}
