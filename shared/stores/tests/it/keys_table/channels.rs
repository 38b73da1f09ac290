//! The channels of people on call: kept sealed, changed one at a time, read once a minute.

use operator_channels::{Credentials, Kind, Severity};
use stores::keys_table::{KeysError, channels::NewChannel};
use testbed::{Fault, Match, Service};

use super::Bench;

const ADDRESS: &str = "https://robot.example/send?key=t0k3n";

fn wecom() -> Credentials {
    Credentials::new(Kind::Wecom, Some(ADDRESS), None).unwrap()
}

fn named<'a>(name: &'a str, credentials: &'a Credentials) -> NewChannel<'a> {
    NewChannel {
        name,
        kind: Kind::Wecom,
        credentials,
        page: Some(1),
        ticket: None,
    }
}

#[tokio::test]
async fn a_channel_is_sealed_read_back_and_removed() {
    let bench = Bench::new().await;
    let (table, credentials) = (bench.sandbox(), wecom());
    table
        .put_channel(&named("ops", &credentials))
        .await
        .unwrap();
    let stored = format!("{:?}", bench.item("channels#1900000001").await);
    assert!(
        !stored.contains("t0k3n") && !stored.contains("robot.example"),
        "{stored}"
    );

    let function = bench.sandbox();
    let [ops] = &function.channels().await.unwrap()[..] else {
        panic!("one channel");
    };
    assert_eq!((ops.name.as_str(), ops.kind), ("ops", Kind::Wecom));
    assert_eq!(
        (ops.place(Severity::Page), ops.place(Severity::Ticket)),
        (Some(1), None)
    );
    let read = function.channel_credentials(ops).await.unwrap();
    assert_eq!((read.address(), read.secret()), (ADDRESS, None));
    assert!(!format!("{ops:?} {read:?}").contains("t0k3n"));

    table.remove_channel("ops").await.unwrap();
    let gone = table.remove_channel("ops").await;
    assert!(matches!(gone, Err(KeysError::NoItem { .. })), "{gone:?}");
    assert!(table.read_channels().await.unwrap().is_empty());
    // A sandbox goes on with what it has read for a minute.
    assert_eq!(function.channels().await.unwrap().len(), 1);
    bench.kms.clock.advance(std::time::Duration::from_secs(61));
    assert!(function.channels().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_sealed_for_one_channel_does_not_open_for_another() {
    let bench = Bench::new().await;
    let (table, credentials) = (bench.sandbox(), wecom());
    table
        .put_channel(&named("ops", &credentials))
        .await
        .unwrap();
    let channels = table.read_channels().await.unwrap();
    let mut copied = channels[0].clone();
    copied.name = "other".to_owned();
    let opened = table.channel_credentials(&copied).await;
    assert!(
        matches!(opened, Err(KeysError::Secret { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn a_change_beside_another_is_refused_and_one_whose_answer_was_lost_is_done() {
    let bench = Bench::new().await;
    let (table, credentials) = (bench.sandbox(), wecom());
    table
        .put_channel(&named("first", &credentials))
        .await
        .unwrap();
    let update = Match::operation(Service::DynamoDb, "UpdateItem");
    bench.wire.break_next(update, Fault::LostAnswer);
    table
        .put_channel(&named("second", &credentials))
        .await
        .unwrap();
    let names = |table: Vec<stores::keys_table::channels::Channel>| -> Vec<String> {
        table.into_iter().map(|channel| channel.name).collect()
    };
    assert_eq!(
        names(table.read_channels().await.unwrap()),
        ["first", "second"]
    );

    // Of two at once one is refused, and the other's channel stays.
    let (third, fourth) = (named("third", &credentials), named("fourth", &credentials));
    let (one, other) = (bench.sandbox(), bench.sandbox());
    let (one, other) = futures_util::join!(one.put_channel(&third), other.put_channel(&fourth));
    let refused = [&one, &other].map(|done| matches!(done, Err(KeysError::Changed { .. })));
    let there = names(table.read_channels().await.unwrap()).len();
    assert_eq!(
        there,
        4 - refused.iter().filter(|refused| **refused).count(),
        "{one:?} {other:?}"
    );
}

#[tokio::test]
async fn a_name_that_does_not_fit_and_too_many_channels_are_refused() {
    let bench = Bench::new().await;
    let (table, credentials) = (bench.sandbox(), wecom());
    for name in ["", "Ops", "a b", "a#b", &"a".repeat(33)] {
        let done = table.put_channel(&named(name, &credentials)).await;
        assert!(matches!(done, Err(KeysError::Damaged { .. })), "{name}");
    }
    for number in 0..20 {
        let name = format!("ops-{number}");
        table
            .put_channel(&named(&name, &credentials))
            .await
            .unwrap();
    }
    let done = table.put_channel(&named("one-more", &credentials)).await;
    assert!(matches!(done, Err(KeysError::Damaged { .. })), "{done:?}");
    // One that is there can be changed.
    table
        .put_channel(&named("ops-7", &credentials))
        .await
        .unwrap();
}
