//! The members of a record that a later version wrote and this one does not know.
//!
//! During a release two versions write the same records. A record is written as a whole, so each
//! version must keep the members that it does not know: its own, those of what it holds, and those
//! of the entries of its lists.
//!
//! What is said within a part is about that part as it was. So it is kept while the part is the
//! same thing: unchanged, or with the same number, as a refund whose stage moves on. An entry of a
//! list is found by its place, and has to be unchanged: histories grow at their end alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Members of a stored record that this version has no field for, by their names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WrittenLater(BTreeMap<String, Member>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Member {
    /// This version does not know the member at all.
    Whole(Value),
    /// It knows the member, and not all that is in it.
    Within(Part),
    /// The same of entries of a list, by their places.
    Entries(Vec<(usize, Part)>),
}

/// What is unknown within something known.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Part {
    /// As this version reads it.
    known: Value,
    later: WrittenLater,
}

impl Part {
    fn beside(stored: &Value, known: &Value) -> Option<Self> {
        let later = WrittenLater::beside(stored, known);
        (!later.is_empty()).then(|| Self {
            known: known.clone(),
            later,
        })
    }
}

impl WrittenLater {
    /// The members of `stored` that are not in `known`, which is what this version reads from it.
    pub fn beside(stored: &Value, known: &Value) -> Self {
        let members = stored.as_object().into_iter().flatten();
        let member = |(name, value): (&String, &Value)| {
            let member = match known.get(name) {
                Some(known) => unknown_within(value, known)?,
                None if value.is_null() => return None,
                None => Member::Whole(value.clone()),
            };
            Some((name.clone(), member))
        };
        Self(members.filter_map(member).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds them to what this version writes. Its own members win.
    pub fn kept_in(&self, written: &mut Value) {
        if let Some(members) = written.as_object_mut() {
            for (name, member) in &self.0 {
                member.kept_in(name, members);
            }
        }
    }
}

impl Member {
    fn kept_in(&self, name: &str, members: &mut Map<String, Value>) {
        match self {
            Self::Whole(value) => {
                members
                    .entry(name.to_owned())
                    .or_insert_with(|| value.clone());
            }
            Self::Within(part) => {
                if let Some(written) = members.get_mut(name)
                    && is_same(&part.known, written)
                {
                    part.later.kept_in(written);
                }
            }
            Self::Entries(parts) => {
                let written = members.get_mut(name).and_then(Value::as_array_mut);
                let Some(written) = written else { return };
                for (place, part) in parts {
                    if let Some(entry) = written.get_mut(*place)
                        && *entry == part.known
                    {
                        part.later.kept_in(entry);
                    }
                }
            }
        }
    }
}

/// What is unknown in a member that both have.
fn unknown_within(stored: &Value, known: &Value) -> Option<Member> {
    match (stored, known) {
        (Value::Array(stored), Value::Array(known)) => {
            let entries = stored.iter().zip(known).enumerate();
            let parts: Vec<_> = entries
                .filter_map(|(place, (stored, known))| Some((place, Part::beside(stored, known)?)))
                .collect();
            (!parts.is_empty()).then_some(Member::Entries(parts))
        }
        (stored, known) => Part::beside(stored, known).map(Member::Within),
    }
}

/// Whether what is written is still about what was read.
fn is_same(read: &Value, written: &Value) -> bool {
    let number = |value: &Value| value.get("refund_no").cloned();
    read == written || number(read).is_some_and(|read| number(written) == Some(read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_members_are_kept_and_known_ones_win() {
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

    /// What is kept of `stored`, of which this version knows `known`, when it writes `written`.
    fn kept(stored: &Value, known: &Value, mut written: Value) -> Value {
        WrittenLater::beside(stored, known).kept_in(&mut written);
        written
    }

    #[test]
    fn what_is_not_known_within_a_part_is_kept_while_the_part_is_the_same() {
        let stored = json!({
            "about": {"order_no": "T1", "shop": {"city": "Xiamen"}},
            "refund": {"refund_no": "R1", "stage": "moving", "channel": "bank"},
            "history": [{"why": "found", "by": "run", "seen": true}, {"why": "asked"}],
        });
        let known = json!({
            "about": {"order_no": "T1"},
            "refund": {"refund_no": "R1", "stage": "moving"},
            "history": [{"why": "found", "by": "run"}, {"why": "asked"}],
        });
        assert_eq!(kept(&stored, &known, known.clone()), stored);

        let more = json!({
            "about": {"order_no": "T1"},
            "refund": {"refund_no": "R1", "stage": "succeeded"},
            "history": [{"why": "found", "by": "run"}, {"why": "asked"}, {"why": "paid"}],
        });
        assert_eq!(
            kept(&stored, &known, more),
            json!({
                "about": {"order_no": "T1", "shop": {"city": "Xiamen"}},
                "refund": {"refund_no": "R1", "stage": "succeeded", "channel": "bank"},
                "history": [{"why": "found", "by": "run", "seen": true}, {"why": "asked"}, {"why": "paid"}],
            })
        );

        let another = json!({
            "about": {"order_no": "T2"},
            "refund": {"refund_no": "R2", "stage": "moving"},
            "history": [{"why": "began again", "by": "run"}],
        });
        assert_eq!(kept(&stored, &known, another.clone()), another);
        // A part that is gone, or has become something else, does not come back.
        for gone in [
            json!({}),
            json!({"about": "T1", "refund": [], "history": {}}),
        ] {
            assert_eq!(kept(&stored, &known, gone.clone()), gone);
        }
    }

    #[test]
    fn what_lies_deep_within_is_kept_too() {
        let stored = json!({"a": {"b": [{"c": {"known": 1, "later": 2}}]}});
        let known = json!({"a": {"b": [{"c": {"known": 1}}]}});
        assert_eq!(kept(&stored, &known, known.clone()), stored);
        assert!(WrittenLater::beside(&known, &known).is_empty());
    }
}
