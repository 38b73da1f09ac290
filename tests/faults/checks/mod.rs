//! The invariants (shared/payments/STATES.md, 11), compared with everything that is visible from
//! outside: WeChat Pay's books, the items of our tables, the messages, the answers that clients
//! got, the log.
//!
//! A check uses nothing of how the product works. It compares two sides, or one side with a rule.

mod days;
mod journal;
mod money;
mod outbox;
pub(crate) mod secrets;
mod traffic;
mod webhooks;

use serde_json::Value;

use crate::{
    cases::scenario::{Scenario, Violation},
    engine::{
        books::{Item, Records, text},
        client::{ApiAnswer, PendingRequest},
        deployment::Deployment,
    },
};

/// Holds what must be true of an answer in the moment in which a client has it.
pub(crate) fn of_an_answer(scenario: &mut Scenario, pending: &PendingRequest, answer: &ApiAnswer) {
    let mut found = Findings::default();
    if money::is_refusal_of_a_refund(pending, answer) {
        let books = Records::read(&scenario.deployment);
        money::no_refund_is_refused_and_known(&books, pending, answer, &mut found);
    }
    found.hand_to(scenario);
}

/// Holds what must be true at every moment, also between a crash and what mends it.
pub(crate) fn at_any_moment(scenario: &mut Scenario) {
    let books = Records::read(&scenario.deployment);
    let mut found = Findings::default();
    journal::events_follow_each_other(&books, &mut found);
    journal::what_is_not_final_is_due(&books, &mut found);
    journal::what_wechat_pay_answered_has_its_request_id(&scenario.deployment, &books, &mut found);
    money::no_more_is_refunded_than_was_paid(&scenario.deployment, &books, &mut found);
    money::what_is_booked_was_paid(&scenario.deployment, &books, &mut found);
    money::refunds_keep_their_numbers(&scenario.deployment, &books, &mut found);
    money::what_goes_to_the_merchant_is_on_record(&scenario.deployment, &books, &mut found);
    traffic::what_was_acknowledged_was_queued(&scenario.deployment, &mut found);
    traffic::refunds_of_a_payment_go_out_a_minute_apart(&scenario.deployment, &mut found);
    nothing_that_a_later_release_added_is_lost(&scenario.deployment, &mut found);
    webhooks::no_event_is_lost(&scenario.deployment, &mut found);
    webhooks::one_id_is_one_event(&scenario.deployment, &mut found);
    days::every_difference_is_found_once(&books, &mut found);
    days::differences_move_as_states_md_says(&books, &mut found);
    days::a_day_is_done_when_all_of_it_is(&scenario.deployment, &books, &mut found);
    days::the_effects_of_differences_on_the_sums_are_those_of_their_run(&books, &mut found);
    days::money_goes_back_only_with_two_persons(&scenario.deployment, &books, &mut found);
    found.hand_to(scenario);
}

/// Checks what must be true once everything is quiet.
pub(crate) fn at_rest(scenario: &mut Scenario) {
    at_any_moment(scenario);
    let books = Records::read(&scenario.deployment);
    let mut found = Findings::default();
    money::every_payment_is_booked_or_parked(&scenario.deployment, &books, &mut found);
    money::both_sides_say_the_same(&scenario.deployment, &books, &mut found);
    journal::nothing_is_left_half_way(&books, &mut found);
    outbox::every_change_leaves_once(&scenario.deployment, &books, &mut found);
    webhooks::the_receiver_has_every_event(&scenario.deployment, &books, &mut found);
    days::nothing_is_left_half_way(&books, &mut found);
    days::what_was_approved_went_back_once(&scenario.deployment, &books, &mut found);
    traffic::every_value_shown_was_alive(&scenario.deployment, &mut found);
    traffic::every_callback_was_acknowledged(&scenario.deployment, &mut found);
    traffic::every_queue_is_empty(&scenario.deployment, &mut found);
    traffic::every_notice_is_settled_or_parked(&books, &mut found);
    traffic::every_request_was_answered(&scenario.pending_requests, &mut found);
    secrets::nothing_readable_left_the_tables(&scenario.deployment, &mut found);
    found.hand_to(scenario);
}

/// While two releases are at work, the older one keeps what it does not know.
fn nothing_that_a_later_release_added_is_lost(deployment: &Deployment, found: &mut Findings) {
    for lost in deployment.rollout.lost() {
        found.add("nothing that a later release added is lost", lost);
    }
}

/// What checks have found.
#[derive(Debug, Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Violation {
            check,
            found: found.into(),
        });
    }

    fn hand_to(self, scenario: &mut Scenario) {
        for violation in self.0 {
            if !scenario.violations.contains(&violation) {
                scenario.violations.push(violation);
            }
        }
    }
}

/// The state of an item, for people.
fn state(item: &Item) -> &str {
    text(item, "state")
}

/// A field of JSON as text, for comparisons.
fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
