//! Why news from WeChat Pay cannot be read.

use wechatpay::UnreadableAnswer;

/// A transaction that cannot be parsed as a notice about one of our orders. It is verified, so an
/// operator must see it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnreadableNotice {
    /// A required field is missing or does not have its documented type.
    #[error("`{0}` is missing or not of its documented shape")]
    Missing(&'static str),
    /// A field has an impossible value.
    #[error("`{0}` has a value that cannot be")]
    Invalid(&'static str),
    /// A state that we do not know.
    #[error("the state is `{0}`, which is not known")]
    UnknownState(String),
    /// An answer lacks the fields that identify it, or is not a JSON object.
    #[error(
        "the answer is not as documented (line {line}, column {column})",
        line = .0.line,
        column = .0.column
    )]
    Answer(UnreadableAnswer),
}

impl UnreadableNotice {
    /// An unknown state, shortened.
    pub(crate) fn unknown_state(state: &str) -> Self {
        Self::UnknownState(state.chars().take(64).collect())
    }
}
