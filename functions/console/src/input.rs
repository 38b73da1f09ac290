//! Parses requests: bodies from programs, forms from people, and queries from both.

use std::collections::BTreeMap;

use flows::problem::Problem;
use payments::{
    model::{bill_date::BillDate, ids::ClientId},
    reconcile::difference::{Decision, Difference, DifferenceKind, DifferenceState},
    rules::request::{BadRequest, bad_field},
};
use serde::{Deserialize, de::DeserializeOwned};
use strict_json::Null;

/// A person's decision, on the version that they saw.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionRequest {
    pub(crate) decision: Decision,
    pub(crate) why: String,
    pub(crate) version: u64,
    /// The client of the order to be restored.
    #[serde(default)]
    pub(crate) client: Option<String>,
}

impl DecisionRequest {
    /// The client whose order it was, if required.
    pub(crate) fn client(&self) -> Result<Option<ClientId>, BadRequest> {
        match (self.decision, &self.client) {
            (Decision::ProposePaid, Some(client)) => {
                let client =
                    ClientId::chosen(client).map_err(|problem| bad_field("client", problem))?;
                Ok(Some(client))
            }
            (Decision::ProposePaid, None) => Err(bad_field(
                "client",
                "must be the id of the client whose order it was",
            )),
            (_, None) => Ok(None),
            (_, Some(_)) => Err(bad_field("client", "belongs to `propose_paid` alone")),
        }
    }
}

/// A run of a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunForm {
    /// Whether it only reports.
    pub(crate) dry_run: bool,
}

/// Which differences of a day.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Filter {
    pub(crate) kind: Option<DifferenceKind>,
    pub(crate) state: Option<DifferenceState>,
}

/// A piece of the list of differences.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ListQuery {
    pub(crate) filter: Filter,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

/// Default page size of the list of differences.
const LIMIT: usize = 100;
/// And at most.
const LIMIT_MAX: usize = 500;

/// All states, in the order in which they are counted and chosen.
pub(crate) const STATES: [DifferenceState; 7] = DifferenceState::ALL;

/// All decisions, in the order of their buttons.
pub(crate) const DECISIONS: [Decision; 10] = [
    Decision::Approve,
    Decision::Propose,
    Decision::Retry,
    Decision::Redirect,
    Decision::Release,
    Decision::PayerPaid,
    Decision::ProposePaid,
    Decision::Reject,
    Decision::Explain,
    Decision::Reopen,
];

/// A decision's name in forms and the API.
pub(crate) const fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::Propose => "propose",
        Decision::ProposePaid => "propose_paid",
        Decision::Retry => "retry",
        Decision::Release => "release",
        Decision::Redirect => "redirect",
        Decision::Approve => "approve",
        Decision::Reject => "reject",
        Decision::Explain => "explain",
        Decision::PayerPaid => "payer_paid",
        Decision::Reopen => "reopen",
    }
}

/// The day in a path.
pub(crate) fn day(text: &str) -> Result<BillDate, Problem> {
    BillDate::parse(text).map_err(|_| Problem::no_such_day())
}

/// Reads a program's body.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadRequest> {
    Ok(strict_json::read(body, Null::Refused)?)
}

/// The fields of a form or of a query, decoded. If a name occurs twice, the last value counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FormFields(BTreeMap<String, String>);

impl FormFields {
    /// Reads `application/x-www-form-urlencoded`.
    pub(crate) fn read(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// Reads the query of a program, which may hold these parameters, each once.
    ///
    /// # Errors
    /// [`BadRequest::Query`].
    pub(crate) fn query(encoded: &[u8], known: &[&str]) -> Result<Self, BadRequest> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(encoded).into_owned() {
            if !known.contains(&name.as_str()) {
                let takes = if known.is_empty() {
                    "no parameters".to_owned()
                } else {
                    format!("the parameters {}", known.join(", "))
                };
                return Err(BadRequest::Query(format!(
                    "has a parameter that is not known here: this route takes {takes}"
                )));
            }
            if fields.contains_key(&name) {
                return Err(BadRequest::Query(format!("has `{name}` more than once")));
            }
            fields.insert(name, value);
        }
        Ok(Self(fields))
    }

    /// A field's value. An empty one counts as absent: browsers send it for a choice that was not
    /// made.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// The decision in a difference's form.
    pub(crate) fn decision(&self) -> Result<DecisionRequest, BadRequest> {
        let decision = self.get("decision").unwrap_or_default();
        Ok(DecisionRequest {
            decision: DECISIONS
                .into_iter()
                .find(|known| decision_name(*known) == decision)
                .ok_or_else(|| {
                    let names = DECISIONS.map(decision_name).join(", ");
                    bad_field("decision", format!("must be one of {names}"))
                })?,
            // Browsers send CR LF as a line end; a reason is stored with LF only.
            why: self.get("why").unwrap_or_default().replace("\r\n", "\n"),
            version: self
                .get("version")
                .and_then(|version| version.parse().ok())
                .ok_or_else(|| bad_field("version", "must be the version that was decided on"))?,
            // The form has this field whichever button is pressed.
            client: self
                .get("client")
                .filter(|_| decision == decision_name(Decision::ProposePaid))
                .map(|client| client.trim().to_owned()),
        })
    }

    /// What the buttons of a day ask for.
    pub(crate) fn run(&self) -> Result<RunForm, BadRequest> {
        let dry_run = match self.get("dry_run") {
            Some("true") => true,
            Some("false") => false,
            Some(_) | None => return Err(bad_field("dry_run", "must be true or false")),
        };
        Ok(RunForm { dry_run })
    }

    /// Which differences are wanted.
    pub(crate) fn filter(&self) -> Result<Filter, BadRequest> {
        let kind = self.get("kind").map(|name| {
            DifferenceKind::named(name).ok_or_else(|| bad_field("kind", "is no kind of difference"))
        });
        let state = self.get("state").map(|name| {
            let known = STATES.into_iter().find(|state| state.name() == name);
            known.ok_or_else(|| bad_field("state", "is no state of a difference"))
        });
        Ok(Filter {
            kind: kind.transpose()?,
            state: state.transpose()?,
        })
    }

    /// Which piece of the list is wanted.
    pub(crate) fn list(&self) -> Result<ListQuery, BadRequest> {
        let limit = self.get("limit").map_or(Some(LIMIT), |limit| {
            let limit = limit.parse().ok();
            limit.filter(|limit| (1..=LIMIT_MAX).contains(limit))
        });
        Ok(ListQuery {
            filter: self.filter()?,
            after: self.get("after").map(str::to_owned),
            limit: limit.ok_or_else(|| bad_field("limit", format!("must be 1 to {LIMIT_MAX}")))?,
        })
    }
}

impl Filter {
    /// Whether a difference is wanted.
    pub(crate) fn takes(self, difference: &Difference) -> bool {
        self.kind.is_none_or(|kind| kind == difference.kind)
            && self.state.is_none_or(|state| state == difference.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_read_from_json_and_from_a_form_alike() {
        let expected = DecisionRequest {
            decision: Decision::Reject,
            why: "paid in cash & kept\nby Wang".to_owned(),
            version: 3,
            client: None,
        };
        let body = br#"{"decision":"reject","why":"paid in cash & kept\nby Wang","version":3}"#;
        assert_eq!(json::<DecisionRequest>(body).unwrap(), expected);
        let form = b"why=paid+in+cash+%26+kept%0D%0Aby+Wang&version=3&decision=reject";
        assert_eq!(FormFields::read(form).decision().unwrap(), expected);
    }

    #[test]
    fn only_an_order_that_is_taken_on_has_a_client_and_never_the_unattributed_one() {
        let asked = |body: &str| json::<DecisionRequest>(body.as_bytes()).unwrap().client();
        let client_of = |client: &str| {
            asked(&format!(
                r#"{{"decision":"propose_paid","why":"x","version":1,"client":"{client}"}}"#
            ))
        };
        assert_eq!(client_of("shop").unwrap(), Some(ClientId::new("shop")));
        for wrong in ["", " shop", "(nobody)"] {
            assert!(client_of(wrong).is_err(), "{wrong}");
        }
        assert!(asked(r#"{"decision":"propose_paid","why":"x","version":1}"#).is_err());
        let other = r#"{"decision":"approve","why":"x","version":1,"client":"shop"}"#;
        assert!(asked(other).is_err());
        let form = b"why=x&version=3&decision=approve&client=shop";
        let pressed = FormFields::read(form).decision().unwrap();
        assert_eq!(pressed.client().unwrap(), None);
    }

    #[test]
    fn a_body_that_is_no_decision_is_refused_with_the_field_that_is_wrong() {
        for (form, field) in [
            ("why=x&version=3", "decision"),
            ("why=x&version=3&decision=steal", "decision"),
            ("why=x&decision=approve", "version"),
            ("why=x&decision=approve&version=-1", "version"),
        ] {
            let error = FormFields::read(form.as_bytes()).decision().unwrap_err();
            assert!(error.to_string().contains(field), "{form}: {error}");
        }
        for body in [
            r#"{"decision":"approve","why":"x"}"#,
            r#"{"decision":"steal","why":"x","version":1}"#,
            r#"{"decision":"approve","why":"x","version":1,"who":"boss"}"#,
            r#"["approve","x",1]"#,
            r#"{"decision":"approve","why":null,"version":1}"#,
            r#"{"decision":"approve","why":"x","version":1.0}"#,
            r#"{"decision":{"approve":null},"why":"x","version":1}"#,
        ] {
            assert!(json::<DecisionRequest>(body.as_bytes()).is_err(), "{body}");
        }
        for body in [
            "{}",
            "[true]",
            r#"{"dry_run":null}"#,
            r#"{"dry_run":"true"}"#,
        ] {
            assert!(json::<RunForm>(body.as_bytes()).is_err(), "{body}");
        }
        assert!(FormFields::read(b"dry_run=perhaps").run().is_err());
    }

    #[test]
    fn a_programs_query_has_known_parameters_each_once() {
        let known = ["kind", "limit"];
        for (query, fits) in [
            ("", true),
            ("kind=a&limit=1", true),
            ("limit=1&limit=1", false),
            ("limit=1&offset=2", false),
            ("Limit=1", false),
            ("=1", false),
        ] {
            let read = FormFields::query(query.as_bytes(), &known);
            assert_eq!(read.is_ok(), fits, "{query}");
        }
        assert!(FormFields::query(b"a=1", &[]).is_err());
    }

    #[test]
    fn a_list_is_bounded_and_names_only_what_there_is() {
        let asked = FormFields::read(b"").list().unwrap();
        assert_eq!((asked.limit, asked.after), (LIMIT, None));
        let asked = FormFields::read(b"kind=amount_differs&state=open&limit=500&after=a-1").list();
        let asked = asked.unwrap();
        assert_eq!(asked.filter.kind, Some(DifferenceKind::AmountDiffers));
        assert_eq!(asked.filter.state, Some(DifferenceState::Open));
        for query in ["limit=0", "limit=501", "limit=x", "kind=x", "state=x"] {
            assert!(
                FormFields::read(query.as_bytes()).list().is_err(),
                "{query}"
            );
        }
        assert_eq!(
            FormFields::read(b"kind=&state=").list().unwrap().filter,
            Filter::default()
        );
    }
}
