//! How much of a bill is held.

/// No line of a bill is longer, its end included: the fields' limits come to a few thousand bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
