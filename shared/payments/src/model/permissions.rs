//! What a client's key may do: its scopes, and its limits by amount.
//!
//! A key is a program's, and lies where that program runs. So it may do what the program needs and
//! no more: whoever steals it can do no more either.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::model::money::Fen;

/// What a route of the API asks of a key.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Make orders.
    Create,
    /// Read orders, refunds, events and the webhook, and have events sent again to the client's own
    /// webhook: that tells nobody anything that reading does not.
    Read,
    /// Close orders that are not paid.
    Close,
    /// Ask for refunds, and for a refused one to be sent once more under its number.
    Refund,
    /// Decide about a refund that did not go through, as a person does: where its money goes, that
    /// it is released, how its payer was paid.
    Decide,
}

impl Scope {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Read,
        Self::Close,
        Self::Refund,
        Self::Decide,
    ];

    /// Its name in the table, the contract, commands and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Close => "close",
            Self::Refund => "refund",
            Self::Decide => "decide",
        }
    }

    /// The scope of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The scopes of one key, at least one: a key that may do nothing is revoked instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scopes(BTreeSet<Scope>);

/// A text that is no list of scopes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadScopes {
    #[error("`{0}` is no scope: there are create, read, close, refund and decide")]
    Unknown(String),
    #[error("a key has at least one scope: revoke one that may do nothing")]
    None,
}

impl Scopes {
    /// Every scope.
    pub fn all() -> Self {
        Self(BTreeSet::from(Scope::ALL))
    }

    /// What a key has that is registered without naming scopes: all that moves no money out.
    pub fn of_new_keys() -> Self {
        Self(BTreeSet::from([Scope::Create, Scope::Read, Scope::Close]))
    }

    /// What a key has that was registered before keys had scopes. Its client may be live, so it
    /// keeps what clients do all the time; but not what only a person should decide, since
    /// redirecting a refund can send its money to any card.
    pub fn of_earlier_keys() -> Self {
        let mut scopes = Self::all().0;
        scopes.remove(&Scope::Decide);
        Self(scopes)
    }

    /// Those that have these names. Another name is a later version's, and allows nothing here.
    /// `None` if nothing is left.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let scopes: BTreeSet<Scope> = names.into_iter().filter_map(Scope::named).collect();
        (!scopes.is_empty()).then_some(Self(scopes))
    }

    pub fn has(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// The scopes, in the order of [`Scope::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

impl FromStr for Scopes {
    type Err = BadScopes;

    /// Reads `create,read`.
    fn from_str(list: &str) -> Result<Self, BadScopes> {
        let mut scopes = BTreeSet::new();
        for name in list.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let scope = Scope::named(name).ok_or_else(|| BadScopes::Unknown(name.to_owned()))?;
            scopes.insert(scope);
        }
        if scopes.is_empty() {
            return Err(BadScopes::None);
        }
        Ok(Self(scopes))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Scope::name).collect();
        f.write_str(&names.join(","))
    }
}

/// A limit of an amount, or of a sum of amounts, in fen.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LimitFen(i64);

impl LimitFen {
    /// A trillion yuan: more than any day has, and its sums stay far inside of 64 bits.
    pub const MAX: Self = Self(100_000_000_000_000);

    /// The limit, if it is 1 to [`LimitFen::MAX`]. None at all is no scope, not a limit of zero.
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

    /// Whether this amount is more than the limit.
    pub const fn is_below(self, amount: Fen) -> bool {
        amount.get() > self.0
    }
}

/// How much a key may ask for; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AmountLimits {
    /// The amount of one order.
    pub order_max: Option<LimitFen>,
    /// The amount of one refund.
    pub refund_max: Option<LimitFen>,
}

/// What a key may do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Permissions {
    pub scopes: Scopes,
    pub limits: AmountLimits,
}

/// A request for more than the key that signed it may ask for. It is refused, and nothing waits for
/// a second person's approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AboveLimit {
    /// The amount of the order.
    #[error("orders by this key have {} fen at most", .0.get())]
    Order(LimitFen),
    /// The amount of the refund.
    #[error("refunds by this key have {} fen at most", .0.get())]
    Refund(LimitFen),
}

impl Permissions {
    /// Everything, without a limit.
    pub fn all() -> Self {
        Self {
            scopes: Scopes::all(),
            limits: AmountLimits::default(),
        }
    }

    /// What a key may do that is registered without saying what.
    pub fn of_new_keys() -> Self {
        Self {
            scopes: Scopes::of_new_keys(),
            limits: AmountLimits::default(),
        }
    }
}

impl AmountLimits {
    /// Whether an order may have this amount.
    ///
    /// # Errors
    /// [`AboveLimit::Order`].
    pub fn allow_order(&self, amount: Fen) -> Result<(), AboveLimit> {
        match self.order_max {
            Some(max) if max.is_below(amount) => Err(AboveLimit::Order(max)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a refund may have this amount.
    ///
    /// # Errors
    /// [`AboveLimit::Refund`].
    pub fn allow_refund(&self, amount: Fen) -> Result<(), AboveLimit> {
        match self.refund_max {
            Some(max) if max.is_below(amount) => Err(AboveLimit::Refund(max)),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fen(fen: i64) -> Fen {
        Fen::new(fen).expect("an amount")
    }

    #[test]
    fn a_list_of_scopes_is_read_as_it_is_written_and_repeats_count_once() {
        let scopes: Scopes = "refund, create,create,".parse().expect("scopes");
        assert_eq!(scopes.to_string(), "create,refund");
        assert_eq!(scopes.to_string().parse(), Ok(scopes));
        for scope in Scope::ALL {
            assert_eq!(Scope::named(scope.name()), Some(scope));
        }
    }

    #[test]
    fn a_scope_that_is_not_known_is_named_and_an_empty_list_is_none() {
        let unknown = "create,refunds".parse::<Scopes>();
        assert_eq!(unknown, Err(BadScopes::Unknown("refunds".to_owned())));
        for empty in ["", " ", ",", " , "] {
            assert_eq!(empty.parse::<Scopes>(), Err(BadScopes::None), "{empty:?}");
        }
    }

    #[test]
    fn a_stored_scope_of_a_later_version_allows_nothing() {
        let scopes = Scopes::named(["read", "approve"]).expect("one that is known");
        assert_eq!(scopes.to_string(), "read");
        assert_eq!(Scopes::named(["approve"]), None);
    }

    #[test]
    fn a_new_key_moves_no_money_out_and_an_earlier_one_decides_nothing() {
        assert_eq!(Scopes::of_new_keys().to_string(), "create,read,close");
        assert_eq!(
            Scopes::of_earlier_keys().to_string(),
            "create,read,close,refund"
        );
    }

    #[test]
    fn an_amount_at_the_limit_is_allowed_and_one_fen_more_is_not() {
        let limit = LimitFen::new(100).expect("a limit");
        let limits = AmountLimits {
            order_max: Some(limit),
            refund_max: Some(limit),
        };
        assert_eq!(limits.allow_order(fen(100)), Ok(()));
        assert_eq!(limits.allow_order(fen(101)), Err(AboveLimit::Order(limit)));
        assert_eq!(limits.allow_refund(fen(100)), Ok(()));
        let above = AboveLimit::Refund(limit);
        assert_eq!(limits.allow_refund(fen(101)), Err(above));
        assert_eq!(AmountLimits::default().allow_order(Fen::MAX), Ok(()));
        assert_eq!(AmountLimits::default().allow_refund(Fen::MAX), Ok(()));
    }

    #[test]
    fn a_limit_is_at_least_one_fen_and_at_most_a_trillion_yuan() {
        for (fen, allowed) in [
            (0, false),
            (-1, false),
            (1, true),
            (LimitFen::MAX.get(), true),
            (LimitFen::MAX.get() + 1, false),
            (i64::MAX, false),
        ] {
            assert_eq!(LimitFen::new(fen).is_some(), allowed, "{fen}");
        }
    }
}
