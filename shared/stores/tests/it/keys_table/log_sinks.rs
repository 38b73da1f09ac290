//! The systems that log lines are forwarded to: kept sealed, one of a kind, read once a minute.

use log_sinks::{Dsn, Kind, Login, Loki, Sink};
use stores::keys_table::KeysError;
use testbed::{Fault, Match, Service};

use super::Bench;

fn sentry(project: u32) -> Sink {
    let dsn = format!("https://t0k3n@sentry.example/{project}");
    Sink::Sentry(Dsn::parse(&dsn).unwrap())
}

fn loki() -> Sink {
    Sink::Loki(Loki::new("https://loki.example", Some("shop"), Login::None).unwrap())
}

#[tokio::test]
async fn a_sink_is_sealed_read_back_replaced_and_removed() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    for sink in [sentry(41), loki(), sentry(42)] {
        table.put_log_sink(&sink).await.unwrap();
    }
    let stored = format!("{:?}", bench.item("log-sinks#1900000001").await);
    for text in ["t0k3n", "sentry.example", "loki.example"] {
        assert!(!stored.contains(text), "{stored}");
    }
    let function = bench.sandbox();
    let [first, second] = &function.log_sinks().await.unwrap()[..] else {
        panic!("two sinks");
    };
    assert_eq!((first.kind, second.kind), (Kind::Sentry, Kind::Loki));
    assert!(first.set_up_at.is_some());
    assert_eq!(function.open_log_sink(first).await.unwrap(), sentry(42));
    assert_eq!(function.open_log_sink(second).await.unwrap(), loki());
    assert!(!format!("{first:?}").contains("sealed"));

    table.remove_log_sink(Kind::Sentry).await.unwrap();
    let gone = table.remove_log_sink(Kind::Sentry).await;
    assert!(matches!(gone, Err(KeysError::NoItem { .. })), "{gone:?}");
    assert_eq!(table.read_log_sinks().await.unwrap().len(), 1);
    // A sandbox goes on with what it has read for a minute.
    assert_eq!(function.log_sinks().await.unwrap().len(), 2);
    bench.kms.clock.advance(std::time::Duration::from_secs(61));
    assert_eq!(function.log_sinks().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_sealed_for_one_sink_does_not_open_for_another() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    table.put_log_sink(&sentry(42)).await.unwrap();
    let mut copied = table.read_log_sinks().await.unwrap()[0].clone();
    copied.kind = Kind::Loki;
    let opened = table.open_log_sink(&copied).await;
    assert!(
        matches!(opened, Err(KeysError::Secret { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn a_change_beside_another_is_refused_and_one_whose_answer_was_lost_is_done() {
    let bench = Bench::new().await;
    let table = bench.sandbox();
    table.put_log_sink(&sentry(41)).await.unwrap();
    let update = Match::operation(Service::DynamoDb, "UpdateItem");
    bench.wire.break_next(update, Fault::LostAnswer);
    table.put_log_sink(&loki()).await.unwrap();
    assert_eq!(table.read_log_sinks().await.unwrap().len(), 2);

    // Of two at once one is refused, and what the other wrote stays.
    let (one, other) = (bench.sandbox(), bench.sandbox());
    let (put, removed) = (sentry(42), Kind::Loki);
    let (put, removed) =
        futures_util::join!(one.put_log_sink(&put), other.remove_log_sink(removed));
    let refused = [&put, &removed].map(|done| matches!(done, Err(KeysError::Changed { .. })));
    assert!(!(refused[0] && refused[1]), "{put:?} {removed:?}");
    let sinks = table.read_log_sinks().await.unwrap();
    assert_eq!(sinks.len(), if refused[1] { 2 } else { 1 });
}
