//! Why what lets one into a sink is not taken.

/// Why a sink cannot be set up, or what was sealed cannot be used. Holds none of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadSecret {
    #[error("a DSN is `https://KEY@HOST/PROJECT`, as the project's settings at Sentry show it")]
    NotADsn,
    #[error("the address of Loki is `https://HOST`, without a user, a password or a query")]
    NotAnAddress,
    #[error(
        "a tenant, a user, a password or a token has 1 to 1024 visible ASCII characters, and a user has no colon"
    )]
    Form,
    /// What was unsealed is not what is sealed here.
    #[error("what was unsealed is not a log sink's secret")]
    Unreadable,
}
