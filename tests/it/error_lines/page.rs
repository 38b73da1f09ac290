//! The page as the tests read it.

use std::collections::BTreeSet;

use crate::runbooks::page;

pub(super) const PAGE: &str = "error-lines.md";

/// The fields that the page's query shows.
pub(super) fn shown() -> BTreeSet<String> {
    let page = page(PAGE);
    let (_, query) = page.split_once("```insights\nfields ").expect("a query");
    let fields = query.lines().next().expect("a line").split(", ");
    fields.map(str::to_owned).collect()
}

/// The page's messages, each with its row.
pub(super) fn rows() -> Vec<(String, String)> {
    let page = page(PAGE);
    let (_, table) = page.split_once("|---|---|\n").expect("a table");
    let rows = table.lines().take_while(|line| line.starts_with("| "));
    let rows = rows.flat_map(|row| {
        let messages = row.split(" | ").next().expect("a cell").split('`');
        let messages = messages.skip(1).step_by(2);
        messages.map(move |message| (message.to_owned(), row.to_owned()))
    });
    rows.collect()
}

pub(super) fn row_of(message: &str) -> (String, String) {
    let mut rows = rows().into_iter();
    let row = rows.find(|(of, _)| of == message);
    row.unwrap_or_else(|| panic!("no row: {message}"))
}
