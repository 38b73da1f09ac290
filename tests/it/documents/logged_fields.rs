//! Queries and filters for logs that the documents print, held against the lines that functions
//! logged.

use serde_json::Value;

use super::printed;

/// A field that only `notify-operators` writes, which a stack has by choice; `error_lines` brings
/// its line about.
const OF_NOTIFY_OPERATORS: &str = "alarms";

/// Every field that a query or a filter names is in some line that a function logged, and so is
/// every text that is searched for.
pub(super) fn queried_fields_are_in_the_lines(lines: &str) {
    let lines: Vec<Value> = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let has = |field: &str| lines.iter().any(|line| !line[field].is_null());
    let says = |field: &str, text: &str| lines.iter().any(|line| line[field] == text);
    // What the template's alarms watch is compared with the lines that write it where alarms are
    // tested.
    let template = std::fs::read_to_string(printed::root().join("template.yaml")).expect("it");
    let is_counted =
        |field: &str| has(field) || template.contains(&format!("MetricName: {field}\n"));
    let queries = printed::blocks("insights");
    assert!(!queries.is_empty());
    for query in &queries {
        let fields = query.text.strip_prefix("fields ").expect("fields first");
        let fields = fields.lines().next().expect("a line");
        for field in fields.split(", ").filter(|field| !field.starts_with('@')) {
            let is_there = has(field) || field == OF_NOTIFY_OPERATORS;
            assert!(is_there, "{}: no line has {field}", query.document);
        }
    }
    let mut checked = 0;
    for it in printed::all() {
        if ["/aws/vendedlogs/", "/aws/events/"]
            .iter()
            .any(|group| it.text.contains(group))
        {
            continue; // the API's own log, whose form the template gives, and AWS's events
        }
        for condition in it.text.split("$.").skip(1) {
            let (field, rest) = condition.split_once(" = ").expect("a comparison");
            let printed = format!("{}: no line has {field} = {rest}", it.document);
            match rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                Some((text, _)) => assert!(says(field, text), "{printed}"),
                None => assert!(is_counted(field), "{printed}"),
            }
            checked += 1;
        }
    }
    assert!(checked > 0, "no filter was found");
}
