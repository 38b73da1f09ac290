//! A refund's state as the books of a day keep it.

use matching::books::BookedRefund;

use crate::model::refund::RefundState;

impl From<&RefundState> for BookedRefund {
    fn from(state: &RefundState) -> Self {
        match state {
            RefundState::Reserved => Self::Reserved,
            RefundState::Processing => Self::Processing,
            RefundState::Succeeded(_) => Self::Succeeded,
            RefundState::Closed => Self::Closed,
            RefundState::Refused(_) => Self::Refused,
            RefundState::Abnormal => Self::Abnormal,
        }
    }
}

#[cfg(test)]
mod tests {
    use wechatpay::UnixSeconds;

    use super::*;

    /// The books read a state by its name in our table, and know the names by themselves.
    #[test]
    fn a_state_is_read_by_the_name_that_it_is_written_under() {
        for state in [
            RefundState::Reserved,
            RefundState::Processing,
            RefundState::Succeeded(UnixSeconds(5)),
            RefundState::Closed,
            RefundState::Refused("NOT_ENOUGH".into()),
            RefundState::Abnormal,
        ] {
            let booked = BookedRefund::from(&state);
            assert_eq!(BookedRefund::named(state.name()), Some(booked), "{state:?}");
        }
        assert_eq!(BookedRefund::named("paid"), None);
    }
}
