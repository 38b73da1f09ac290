//! The text of a message: all that is to be said, as long as it fits.

use std::fmt::Write;

use crate::alarm::{Notification, State};

/// A channel that did not take the message before it came to this one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotTaken {
    /// The channel's name.
    pub channel: String,
    /// Why, in words for people. Holds no address.
    pub why: String,
}

/// In every message: robots may be set to take only messages that have a certain word.
const HEAD: &str = "WeChat Pay on Lambda";
/// How much of CloudWatch's reason is shown, in bytes.
const REASON_MAX: usize = 300;
/// How much of a description is shown, in bytes.
const DESCRIPTION_MAX: usize = 600;

/// What people are told, within `bytes_max` bytes: alarms that went on come first, in full while
/// there is room, else in a line each, and what has no room is counted.
#[must_use]
pub fn compose(about: &[&Notification], not_taken: &[NotTaken], bytes_max: usize) -> String {
    let mut about = about.to_vec();
    about.sort_by_key(|each| (each.state, each.severity));
    let (head, tail) = (head(&about), tail(not_taken));
    let whole = |lines: &[String]| format!("{head}{}{tail}", lines.concat());
    let full: Vec<String> = about.iter().map(|each| in_full(each)).collect();
    let text = whole(&full);
    if text.len() <= bytes_max {
        return text;
    }
    let short: Vec<String> = about.iter().map(|each| in_a_line(each)).collect();
    for shown in (0..=short.len()).rev() {
        let mut lines = short.get(..shown).unwrap_or_default().to_vec();
        if let Some(left @ 1..) = short.len().checked_sub(shown) {
            lines.push(format!("\n... and {left} more: CloudWatch has them all"));
        }
        let text = whole(&lines);
        if text.len() <= bytes_max {
            return text;
        }
    }
    cut(&head, bytes_max).to_owned()
}

fn head(about: &[&Notification]) -> String {
    let count = |state| about.iter().filter(|each| each.state == state).count();
    let mut head = HEAD.to_owned();
    let counted = [
        (State::On, "on"),
        (State::Unknown, "without data"),
        (State::Off, "over"),
        (State::Message, "other"),
    ];
    let mut separator = ": ";
    for (state, word) in counted {
        let count = count(state);
        if count > 0 {
            let _ = write!(head, "{separator}{count} {word}");
            separator = ", ";
        }
    }
    head
}

fn tail(not_taken: &[NotTaken]) -> String {
    let mut tail = String::new();
    for NotTaken { channel, why } in not_taken {
        let _ = write!(tail, "\n\nThe channel {channel} did not take this: {why}");
    }
    tail
}

fn in_a_line(of: &Notification) -> String {
    format!("\n[{}] {}", of.state.name(), cut(&of.name, 255))
}

fn in_full(of: &Notification) -> String {
    let mut text = format!("\n{}\n{}", in_a_line(of), of.changed_at);
    let is_on = of.state != State::Off;
    if !of.description.is_empty() && is_on {
        let _ = write!(text, "\n{}", cut(&of.description, DESCRIPTION_MAX));
    }
    if !of.reason.is_empty() && is_on {
        let _ = write!(text, "\n{}", cut(&of.reason, REASON_MAX));
    }
    text
}

/// The beginning of a text in at most so many bytes; no character is cut in two.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alarm::Severity;

    fn on(name: &str) -> Notification {
        Notification {
            id: name.to_owned(),
            severity: Severity::Page,
            state: State::On,
            name: name.to_owned(),
            description: "Requests to WeChat Pay were given up (infra/runbooks/dead-letters.md)"
                .to_owned(),
            reason: "Threshold Crossed".to_owned(),
            changed_at: "2026-08-02 00:00:00 Beijing".to_owned(),
        }
    }

    fn composed(about: &[Notification], not_taken: &[NotTaken], bytes_max: usize) -> String {
        let about: Vec<&Notification> = about.iter().collect();
        compose(&about, not_taken, bytes_max)
    }

    #[test]
    fn one_alarm_is_told_in_full_with_who_did_not_take_it() {
        let not_taken = NotTaken {
            channel: "ops".to_owned(),
            why: "code 93000: invalid webhook url".to_owned(),
        };
        assert_eq!(
            composed(&[on("shop-dlq")], &[not_taken], 2_048),
            "WeChat Pay on Lambda: 1 on\n\
             \n\
             [ALARM] shop-dlq\n\
             2026-08-02 00:00:00 Beijing\n\
             Requests to WeChat Pay were given up (infra/runbooks/dead-letters.md)\n\
             Threshold Crossed\n\
             \n\
             The channel ops did not take this: code 93000: invalid webhook url"
        );
    }

    #[test]
    fn many_alarms_get_a_line_each_those_that_are_on_first_and_what_has_no_room_is_counted() {
        let mut all: Vec<Notification> = (0..30)
            .map(|number| on(&format!("shop-{number}")))
            .collect();
        let over = Notification {
            state: State::Off,
            ..on("over")
        };
        all.insert(0, over);
        let text = composed(&all, &[], 2_048);
        assert!(
            text.starts_with("WeChat Pay on Lambda: 30 on, 1 over\n[ALARM] shop-0\n"),
            "{text}"
        );
        assert!(text.ends_with("\n[OK] over"), "{text}");
        let text = composed(&all, &[], 200);
        assert!(text.ends_with(" more: CloudWatch has them all"), "{text}");
    }

    proptest! {
        #[test]
        fn a_text_never_has_more_bytes_than_the_channel_takes(
            names in prop::collection::vec("\\PC{0,300}", 1..40),
            words in "\\PC{0,2000}",
            bytes_max in 200_usize..3_000,
        ) {
            let all: Vec<Notification> = names
                .iter()
                .map(|name| Notification { description: words.clone(), ..on(name) })
                .collect();
            let text = composed(&all, &[], bytes_max);
            prop_assert!(text.len() <= bytes_max);
            prop_assert!(text.starts_with(HEAD));
        }

        #[test]
        fn a_cut_is_a_beginning_of_whole_characters(text in "\\PC{0,60}", bytes_max in 0_usize..80) {
            let cut = cut(&text, bytes_max);
            prop_assert!(text.starts_with(cut) && cut.len() <= bytes_max);
            prop_assert!(text.len() <= bytes_max || cut.len() + 4 > bytes_max);
        }
    }
}
