//! What changed an order.

use serde::Serialize;

/// Why an order changed, with an id to look it up.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Cause {
    /// A client's request: its request id.
    Request(String),
    /// A message in the queue of payment requests: its message id.
    Message(String),
    /// A callback from WeChat Pay: its notice id.
    Notice(String),
    /// A run of the sweep: its id.
    Sweep(String),
    /// A run that compared the day's bills with the books: its id.
    Reconciliation(String),
}

impl Cause {
    /// The name of the kind in tables, the API and events.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Message(_) => "message",
            Self::Notice(_) => "notice",
            Self::Sweep(_) => "sweep",
            Self::Reconciliation(_) => "reconciliation",
        }
    }

    pub fn id(&self) -> &str {
        match self {
            Self::Request(id)
            | Self::Message(id)
            | Self::Notice(id)
            | Self::Sweep(id)
            | Self::Reconciliation(id) => id,
        }
    }

    /// A cause from its parts; `None` for an unknown kind.
    pub fn of(kind: &str, id: String) -> Option<Self> {
        match kind {
            "request" => Some(Self::Request(id)),
            "message" => Some(Self::Message(id)),
            "notice" => Some(Self::Notice(id)),
            "sweep" => Some(Self::Sweep(id)),
            "reconciliation" => Some(Self::Reconciliation(id)),
            _ => None,
        }
    }
}
