//! The museum: nine bugs that other payment systems had, each switched on in turn. The harness must find every one.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use wechatpay::museum::{Exhibit, show};

use crate::{
    enumerate,
    flows::{self, RACES},
    interleave,
    report::Report,
};

/// Where an exhibit hangs: the flow or race in which it must be found.
const fn place(exhibit: Exhibit) -> &'static str {
    match exhibit {
        Exhibit::ClosedOrderPaid => "late-money",
        Exhibit::LostUpdate => "refund-and-refund",
        Exhibit::BlindRerun => "renewal-and-renewal",
        Exhibit::MarkedBeforeQueued | Exhibit::KeyHashed => "callback",
        Exhibit::RefundRenumbered => "refund",
        Exhibit::AmountIgnored => "altered-callback",
        Exhibit::TagUnchecked | Exhibit::LateCallback => "forged-callback",
    }
}

/// The exhibit that is on, as its position in [`Exhibit::ALL`]; past the end for none.
static ON: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Switches an exhibit on for all cases to come, or all off.
pub(crate) fn switch(exhibit: Option<Exhibit>) {
    let position = Exhibit::ALL.iter().position(|one| Some(*one) == exhibit);
    ON.store(position.unwrap_or(usize::MAX), Ordering::SeqCst);
}

/// Switches on, in this thread, what is on for all.
pub(crate) fn enter() {
    show(Exhibit::ALL.get(ON.load(Ordering::SeqCst)).copied());
}

/// The exhibit of this name.
pub(crate) fn named(name: &str) -> Option<Exhibit> {
    Exhibit::ALL
        .into_iter()
        .find(|exhibit| exhibit.name() == name)
}

/// The names of all exhibits.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    Exhibit::ALL.into_iter().map(Exhibit::name)
}

/// Walks through the museum.
pub(crate) fn walk(threads: usize, report: &mut Report) {
    for exhibit in Exhibit::ALL {
        let began = Instant::now();
        let place = place(exhibit);
        switch(Some(exhibit));
        let mut found = Report::of_first_find();
        if let Some(flow) = flows::all().find(|flow| flow.name == place) {
            enumerate::every_point(flow, 1, threads, &mut found);
        }
        if let Some(race) = RACES.iter().find(|race| race.name == place) {
            interleave::every_way(race, race.strides(), threads, &mut found);
        }
        switch(None);
        let took_s = began.elapsed().as_secs_f64();
        match found.first_find() {
            Some((case, check)) => println!(
                "exhibit {}: \"{check}\" catches it in {case} ({took_s:.1} s)",
                exhibit.name()
            ),
            None => println!(
                "MISSED exhibit {}: nothing was found in {place} | cargo faults --exhibit {} --flow {place}",
                exhibit.name(),
                exhibit.name()
            ),
        }
        report.exhibit(found.first_find().is_some());
    }
}
