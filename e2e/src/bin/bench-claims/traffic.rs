//! All calls that the API server answered while claims came and went, whoever made them: on a small
//! machine it is the server's time that claims wait for.

use std::collections::BTreeMap;

use duckworker_e2e::AuditEvent;
use duckworker_e2e::bench::figures::{per, table};

/// So many kinds of calls are shown, the most frequent ones.
const MOST: usize = 30;

/// Prints them by program, verb and resource.
pub fn show(events: &[AuditEvent], claims: usize) {
    let mut kinds: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
    let answered = events.iter().filter(|event| event.stage == "ResponseComplete");
    for event in answered {
        let program = event.user_agent.split('/').next().unwrap_or_default();
        *kinds.entry((program, &event.verb, event.resource())).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let total: usize = kinds.iter().map(|(_, count)| count).sum();
    let row = |name: String, count: usize| {
        vec![name, count.to_string(), format!("{:.2}", per(count, claims))]
    };
    let rows = kinds.into_iter().take(MOST).map(|((program, verb, resource), count)| {
        row(format!("{program}: {verb} {resource}"), count)
    });
    let rows: Vec<_> = rows.chain([row("all".to_owned(), total)]).collect();
    table(&["calls of everybody", "count", "per claim"], &rows);
}
