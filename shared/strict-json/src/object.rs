//! An object whose members are taken out one by one.

use serde::de::DeserializeOwned;

use crate::{
    null::Null,
    value::Value,
    wrong::{Step, Wrong, twice},
};

/// An object, of which members are taken by name. For things that say by a member what they are.
///
/// ```
/// use strict_json::{Null, Object};
///
/// let mut message = Object::read(br#"{"v": "greet.v1", "name": "Li"}"#, Null::Refused).unwrap();
/// let kind: String = message.take("v").unwrap();
/// let name: String = message.take("name").unwrap();
/// assert_eq!((kind.as_str(), name.as_str()), ("greet.v1", "Li"));
/// message.nothing_left().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    members: Vec<(String, Value)>,
    null: Null,
}

impl Object {
    /// Reads a JSON text that is an object.
    ///
    /// # Errors
    /// The text is no JSON, no object, or has a member twice.
    pub fn read(text: &[u8], null: Null) -> Result<Self, Wrong> {
        Self::of(Value::read(text)?, null)
    }

    /// Takes a value that is an object.
    ///
    /// # Errors
    /// It is none, or has a member twice.
    pub fn of(value: Value, null: Null) -> Result<Self, Wrong> {
        match value {
            Value::Object(members) => {
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                if let Some([name, _]) = names.array_windows().find(|[name, next]| name == next) {
                    return Err(twice(name));
                }
                Ok(Self { members, null })
            }
            Value::Null
            | Value::Bool(_)
            | Value::Unsigned(_)
            | Value::Negative(_)
            | Value::OtherNumber
            | Value::Text(_)
            | Value::Array(_) => Err(Wrong::new(crate::de::OBJECT)),
        }
    }

    /// Whether it has a member of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(found, _)| found == name)
    }

    /// Takes a member that has to be there.
    ///
    /// # Errors
    /// It is missing, or not as its type has it.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Wrong> {
        self.take_optional(name)?
            .ok_or_else(|| Wrong::new("is missing").in_member(name))
    }

    /// Takes a member that may be left out.
    ///
    /// # Errors
    /// It is not as its type has it; or it is `null`, and that is refused.
    pub fn take_optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Wrong> {
        let Some(at) = self.members.iter().position(|(found, _)| found == name) else {
            return Ok(None);
        };
        let (_, value) = self.members.swap_remove(at);
        value
            .into_type(self.null)
            .map_err(|wrong: Wrong| wrong.inside(Step::Member(name.to_owned())))
    }

    /// Reads a type from the members that are left.
    ///
    /// # Errors
    /// They are not as the type has them.
    pub fn rest<T: DeserializeOwned>(self) -> Result<T, Wrong> {
        Value::Object(self.members).into_type(self.null)
    }

    /// For objects that may have no further members.
    ///
    /// # Errors
    /// It has one.
    pub fn nothing_left(self) -> Result<(), Wrong> {
        match self.members.first() {
            None => Ok(()),
            Some((name, _)) => Err(Wrong::new("is no member that is known here").in_member(name)),
        }
    }
}
