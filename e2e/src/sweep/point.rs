//! Which of an instance's calls: the n-th of its kind. The calls of one worker come one after the
//! other, those of a pool, its workers and a claim side by side: a number among all of them would
//! mean another call in each run.

use std::collections::BTreeMap;
use std::fmt;

use duckworker_faults::choose::Choose;
use duckworker_faults::{Call, Fault, Record, Verb};

/// What a call does, and to which resource.
type Kind = (Verb, String);

/// One call of an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    kind: Kind,
    nth: usize,
}

impl Point {
    /// It changes something.
    pub const fn is_write(&self) -> bool {
        self.kind.0.is_write()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((verb, what), nth) = (&self.kind, self.nth);
        write!(f, "{verb} {what} #{nth}")
    }
}

/// Counts calls by their kinds.
#[derive(Debug, Default)]
struct Counter(BTreeMap<Kind, usize>);

impl Counter {
    fn next(&mut self, call: &Call) -> Point {
        let kind = (call.verb, call.what());
        let nth = self.0.entry(kind.clone()).or_default();
        *nth += 1;
        Point { kind, nth: *nth }
    }
}

/// The calls of an instance, in their order.
pub fn points(records: &[Record]) -> Vec<Point> {
    let mut counter = Counter::default();
    records.iter().map(|record| counter.next(&record.call)).collect()
}

/// Lets one call suffer, if any.
pub struct Strike {
    target: Option<(Point, Fault)>,
    counter: Counter,
}

impl Strike {
    /// This call, counted from now on.
    pub fn at(target: Option<(Point, Fault)>) -> Self {
        Self { target, counter: Counter::default() }
    }
}

impl Choose for Strike {
    fn choose(&mut self, _number: u64, call: &Call) -> Option<Fault> {
        let point = self.counter.next(call);
        self.target.as_ref().filter(|(target, _)| *target == point).map(|(_, fault)| fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(verb: Verb, resource: &str) -> Call {
        Call {
            verb,
            group: String::new(),
            resource: resource.to_owned(),
            subresource: None,
            namespace: None,
            name: None,
        }
    }

    fn record(verb: Verb, resource: &str) -> Record {
        Record { number: None, call: call(verb, resource), fault: None, answer: None }
    }

    #[test]
    fn each_kind_has_its_own_numbers() {
        let (get, create) = (record(Verb::Get, "pods"), record(Verb::Create, "pods"));
        let shown = |records: &[Record]| -> Vec<String> {
            points(records).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            shown(&[get.clone(), create, get]),
            ["get pods #1", "create pods #1", "get pods #2"]
        );
    }

    #[test]
    fn the_nth_of_its_kind_suffers_whatever_comes_between() {
        let get = record(Verb::Get, "pods");
        let second = points(&[get.clone(), get]).remove(1);
        let mut strike = Strike::at(Some((second, Fault::StopBefore)));
        let mut choose = |verb| strike.choose(0, &call(verb, "pods"));
        assert_eq!(choose(Verb::Get), None);
        assert_eq!(choose(Verb::Create), None);
        assert_eq!(choose(Verb::Get), Some(Fault::StopBefore));
        assert_eq!(choose(Verb::Get), None);
    }
}
