//! What a failed test shows: the objects in its namespace, and the ends of all logs.

use std::fmt::Write as _;

use anyhow::Result;

use crate::{component::tail, namespace::TestNamespace};

/// Lines of each log.
const LINES: usize = 30;

/// The report on a failed test. It is tables and logs: no content of secrets.
pub(crate) async fn report_failure(namespace: &TestNamespace<'_>) -> String {
    let mut report = format!("---- the test failed in the namespace {} ----\n", namespace.name);
    match objects(namespace).await {
        Ok(objects) => report.push_str(&objects),
        Err(error) => _ = writeln!(report, "(its objects cannot be shown: {error:#})"),
    }
    let cluster = namespace.cluster;
    let controllers = cluster.controllers();
    let parts = cluster.parts().into_iter().map(|part| (part.name().to_owned(), part.log().into()));
    for (name, log) in controllers.into_iter().chain(parts) {
        let lines = tail(&log, LINES).unwrap_or_else(|error| format!("({error})"));
        _ = writeln!(report, "---- the end of the log of {name} ----\n{lines}");
    }
    report
}

/// All objects of the namespace, in kubectl's tables.
async fn objects(namespace: &TestNamespace<'_>) -> Result<String> {
    let kinds = ["api-resources", "--namespaced", "--verbs=list", "--output=name"];
    let kinds = namespace.kubectl(&kinds).await?.ok()?;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events.events")).collect();
    let kinds = kinds.join(",");
    let get = ["get", &kinds, "--ignore-not-found", "--show-kind", "--output=wide"];
    namespace.kubectl(&get).await?.ok()
}
