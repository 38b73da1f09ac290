//! The members of a record that a later version wrote and this one does not know.
//!
//! During a release two versions write the same records. A record is written as a whole, so each
//! version must keep the members that it does not know.

use std::collections::BTreeMap;

use serde_json::Value;

/// Members of a stored record that this version has no field for, by their names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WrittenLater(BTreeMap<String, Value>);

impl WrittenLater {
    /// The members of `stored` that are not in `known`, which is what this version reads from it.
    pub fn beside(stored: &Value, known: &Value) -> Self {
        let is_unknown = |name: &str, value: &Value| !value.is_null() && known.get(name).is_none();
        let members = stored.as_object().into_iter().flatten();
        Self(
            members
                .filter(|(name, value)| is_unknown(name, value))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds them to what this version writes. Its own members win.
    pub fn kept_in(&self, written: &mut Value) {
        if let Some(members) = written.as_object_mut() {
            for (name, value) in &self.0 {
                members.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_known_is_kept_and_what_is_known_has_the_say() {
        let stored = json!({"state": "open", "owner": {"name": "Lin"}, "note": null});
        let later = WrittenLater::beside(&stored, &json!({"state": "open"}));
        let mut written = json!({"state": "explained"});
        later.kept_in(&mut written);
        assert_eq!(
            written,
            json!({"state": "explained", "owner": {"name": "Lin"}})
        );
        let mut written = json!({"owner": "known by now"});
        later.kept_in(&mut written);
        assert_eq!(written, json!({"owner": "known by now"}));
    }
}
