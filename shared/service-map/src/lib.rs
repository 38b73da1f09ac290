//! The service map: which part of the system calls which, and the figures of the last hour.
//!
//! The journal has no index by time, so an hour's map from it would be a scan of the orders table.
//! CloudWatch has each arrow's counts already, under the closed dimensions of the functions' own
//! metrics and under those of AWS. So one `GetMetricData` gives the map, and no spans are needed.
//!
//! Pure: [`nodes::Node`] and [`edges::edges`] say what there is, [`question::Question`] is what
//! CloudWatch is asked, [`answers::Answers`] what it said, and [`map::ServiceMap`] the outcome. The
//! console and `cargo client` ask.

pub mod answers;
pub mod edges;
pub mod map;
pub mod metric;
pub mod nodes;
pub mod question;
