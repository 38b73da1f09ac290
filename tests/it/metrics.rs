//! What the functions count: each situation is brought about, and its values are read from the
//! lines by the rules of CloudWatch's Embedded Metric Format, with their dimensions.

mod aws;
mod callbacks;
mod closed;
mod money;
mod orders;
mod page;
mod values;
mod webhooks;
mod wechat_calls;

use values::Values;

const NONE: [i64; 0] = [];
