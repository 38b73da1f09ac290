//! How much of everything is read. Lengths are in bytes, times in seconds.

/// An id.
pub const ID_MAX: usize = 256;
/// `webhook-signature`: dozens of signatures, where a change of secrets needs two.
pub const SIGNATURE_MAX: usize = 4096;
/// `webhook-timestamp`: more digits are no time of this age of the world.
pub const TIMESTAMP_MAX: usize = 15;
/// The shortest secret that the specification allows.
pub const SECRET_MIN: usize = 24;
/// The longest one.
pub const SECRET_MAX: usize = 64;
/// How far `webhook-timestamp` may be from the receiver's clock, either way, in seconds. The
/// specification leaves the number open; its own libraries use this one.
pub const TOLERANCE_S: i64 = 300;
