//! Reads JSON into types as an API's contract means it, and says what is wrong in plain words.
//!
//! `serde_json` alone is laxer than a contract. It reads a struct from an array as well as from an
//! object: `["A1", 100]` passes for `{"order_no": "A1", "amount_fen": 100}`. It takes `null` for an
//! optional member. And its texts are about Rust (`invalid type: string "x", expected i64`). Here
//!
//! - a struct, and a variant with members, is read from an object only, at every depth;
//! - `null` is refused where the reader says so ([`Null::Refused`]): a member that is not there is
//!   left out;
//! - a whole number is written with digits only: `100.0` and `1e2` are refused, as is a member that
//!   is there twice;
//! - an error names the place and the rule, and never the value, which may be personal.
//!
//! ```
//! #[derive(Debug, serde::Deserialize)]
//! struct Tea {
//!     cups: u8,
//! }
//!
//! let tea: Tea = strict_json::read(br#"{"cups": 2}"#, strict_json::Null::Refused).unwrap();
//! assert_eq!(tea.cups, 2);
//! let wrong = strict_json::read::<Tea>(b"[2]", strict_json::Null::Refused).unwrap_err();
//! assert_eq!(wrong.to_string(), "it must be an object, with its members by name");
//! ```
//!
//! # Types that say by a member what they are
//! Serde reads types with `tag`, `untagged` or `flatten` through a buffer of its own, in which an
//! array passes for a struct again. Take such a thing apart with [`Object`] instead.

#![warn(missing_docs)] // it is usable alone, so its reader may have its documentation only

mod de;
mod null;
mod object;
mod value;
mod wrong;

use serde::de::DeserializeOwned;

pub use null::Null;
pub use object::Object;
pub use value::Value;
pub use wrong::Wrong;

/// Reads a whole JSON text.
///
/// # Errors
/// [`Wrong`] names the first thing that is not as the type has it.
pub fn read<T: DeserializeOwned>(text: &[u8], null: Null) -> Result<T, Wrong> {
    Value::read(text)?.into_type(null)
}
