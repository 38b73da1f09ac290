//! Numbers and ids. Each has its own type, so that they cannot be mixed up.

mod client;
mod derived;
mod number;
mod order_no;
mod refund_no;
mod wechat_numbers;

pub use client::{BadClientId, BadIdempotencyKey, ClientId, IdempotencyKey};
pub use number::BadNumber;
pub use order_no::OrderNo;
pub use refund_no::{OutRefundNo, RefundNo};
pub use wechat_numbers::{RefundId, TransactionId};

#[cfg(test)]
mod tests {
    use super::{derived::base32, *};

    #[test]
    fn an_order_number_keeps_to_the_common_alphabet_and_length() {
        for (text, allowed) in [
            ("ORDER1", true),
            ("a_b-c-1", true),
            ("short", false),
            ("12345678901234567890123456789012", true),
            ("123456789012345678901234567890123", false),
            ("order*1", false),
            ("order|1", false),
            ("order 1", false),
            ("订单号码", false),
        ] {
            assert_eq!(OrderNo::parse(text).is_ok(), allowed, "{text}");
        }
    }

    #[test]
    fn a_caller_cannot_choose_a_derived_number() {
        assert_eq!(
            OrderNo::chosen("idem-abcdef"),
            Err(BadNumber::ReservedPrefix { prefix: "idem-" })
        );
        assert!(OrderNo::parse("idem-abcdef").is_ok());
        for made_here in ["idem-1", "auto-420001", "console-500001"] {
            assert!(RefundNo::chosen(made_here).is_err(), "{made_here}");
            assert!(RefundNo::parse(made_here).is_ok(), "{made_here}");
        }
    }

    #[test]
    fn a_derived_number_depends_on_client_route_and_key_and_on_nothing_else() {
        let key = |text: &str| IdempotencyKey::parse(text).unwrap();
        let derive = |client: &str, route: &str, text: &str| {
            OrderNo::derived(&ClientId::new(client), route, &key(text))
        };
        let number = derive("shop", "orders", "k1");
        assert_eq!(
            number,
            derive("shop", "orders", "\"k1\""),
            "quoted or bare is the same key"
        );
        for other in [
            derive("shop2", "orders", "k1"),
            derive("shop", "refunds", "k1"),
            derive("shop", "orders", "k2"),
            derive("sho", "porders", "k1"),
        ] {
            assert_ne!(number, other);
        }
        assert_eq!(number.as_str().len(), 32);
        assert!(OrderNo::parse(number.as_str()).is_ok());
    }

    #[test]
    fn a_refund_has_one_number_at_wechat_that_no_other_refund_has() {
        let order = |text: &str| OrderNo::parse(text).unwrap();
        let refund = |text: &str| RefundNo::parse(text).unwrap();
        let number = OutRefundNo::of(&order("ORDER-1"), &refund("R1"));
        assert_eq!(number, OutRefundNo::of(&order("ORDER-1"), &refund("R1")));
        for (order_no, refund_no) in [("ORDER-1", "R2"), ("ORDER-2", "R1"), ("ORDER-1R", "1")] {
            assert_ne!(
                number,
                OutRefundNo::of(&order(order_no), &refund(refund_no))
            );
        }
        assert!(OutRefundNo::parse(number.as_str()).is_ok());
        assert!(OutRefundNo::parse("made@console*1|2").is_ok());
        assert!(OutRefundNo::parse("with space").is_err());
    }

    #[test]
    fn base32_matches_the_rfc() {
        assert_eq!(base32(b"foobar").collect::<String>(), "mzxw6ytbo");
        assert_eq!(base32(b"fooba").collect::<String>(), "mzxw6ytb");
    }

    #[test]
    fn an_idempotency_key_is_visible_ascii() {
        assert!(IdempotencyKey::parse("").is_err());
        assert!(IdempotencyKey::parse("\"\"").is_err());
        assert!(IdempotencyKey::parse("a b").is_err());
        assert!(IdempotencyKey::parse("é").is_err());
        assert!(IdempotencyKey::parse(&"k".repeat(256)).is_err());
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
    }
}
