//! How `null` is read.

/// What `null` is taken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Null {
    /// It is refused. For requests, whose contract leaves a member out that has no value.
    Refused,
    /// It is taken for a member that is not there. For what was written by programs that write it
    /// so.
    Absent,
}
