use super::*;

#[test]
fn every_kind_that_is_stored_is_listed_once_under_the_name_that_it_is_stored_under() {
    // Serde names them all.
    let refused = serde_json::from_str::<DifferenceKind>("\"\"").unwrap_err();
    let refused = refused.to_string();
    let mut stored: Vec<&str> = refused.split('`').skip(3).step_by(2).collect();
    let mut listed = DifferenceKind::ALL.map(DifferenceKind::name);
    stored.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed.as_slice(), stored);
    for kind in DifferenceKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        assert_eq!(DifferenceKind::named(kind.name()), Some(kind));
    }
}

#[test]
fn an_aggregate_that_runs_repair_is_continued_by_the_next_run_and_others_need_a_person() {
    for kind in DifferenceKind::ALL {
        let many = of_many(kind, 20_001);
        let goes_on_by_runs = match kind.remedy() {
            Remedy::Settle(_) | Remedy::Refund(_) => true,
            Remedy::Operator => false,
        };
        let advice = many.what_to_do();
        assert_eq!(many.remedy(), Remedy::Operator);
        assert_eq!(
            advice.starts_with("run the day again"),
            goes_on_by_runs,
            "{}: {advice}",
            kind.name()
        );
    }
}
