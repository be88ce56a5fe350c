//! Which cases there are: from two undisturbed runs, which also show what may differ.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use duckworker_faults::{Fault, Meanwhile, Refusal, Which};
use strum::IntoEnumIterator;

use super::case::{Disturbance, Run};
use super::flow::Flow;
use super::point::{Point, points};

/// How much of it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every call of every flow, every fault, all pairs.
    Full,
    /// A cut through it, for every change of the code.
    Short,
}

impl Depth {
    /// The flows that are swept.
    pub fn flows(self) -> Vec<Flow> {
        match self {
            Self::Full => Flow::iter().collect(),
            Self::Short => vec![Flow::ApplyToIdle, Flow::DeleteIdle, Flow::ClaimToReady],
        }
    }

    /// What happens to the answers of writes.
    fn answers(self) -> Vec<Fault> {
        let late = Duration::from_millis(300);
        let mut faults = vec![
            Fault::LoseAnswer,
            Fault::Late(late, Meanwhile::Breaks),
            Fault::Twice(Which::Second),
        ];
        if self == Self::Full {
            faults.extend([
                Fault::LoseRequest,
                Fault::CutAnswer,
                Fault::HangAfter,
                Fault::Late(late, Meanwhile::Silent),
                Fault::Twice(Which::First),
            ]);
            faults.extend(Refusal::ERRORS.map(Fault::RefuseAfter));
        }
        faults
    }

    /// Whether crashes in pairs are tried for a flow.
    pub fn has_pairs(self, flow: Flow) -> bool {
        self == Self::Full && matches!(flow, Flow::ApplyToIdle | Flow::DeleteIdle)
    }
}

/// What a case belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One crash.
    Crash,
    /// A crash, and another one of the successor.
    Pair,
    /// A write whose answer is lost, late or wrong.
    Answer,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// Which flow.
    pub flow: Flow,
    /// What it belongs to.
    pub kind: Kind,
    /// What happens.
    pub disturbance: Disturbance,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.flow, self.disturbance)
    }
}

/// An undisturbed flow.
#[derive(Debug)]
pub struct Model {
    /// Which flow.
    pub flow: Flow,
    /// Its calls: all that came in one of two runs.
    pub calls: Vec<Point>,
    /// Those that came in one of them only, such as a second read after a conflict. They are swept
    /// like the others: a case is tried until its call comes, and counts as missing if it never does.
    pub rare: Vec<Point>,
    /// How it went.
    pub clean: Run,
}

impl Model {
    /// Of two undisturbed runs, which must end alike.
    pub fn of(flow: Flow, one: Run, other: &Run) -> Result<Self> {
        let (a, b) = (&one.ending, &other.ending);
        ensure!(a == b, "{flow}: two clean runs end differently: {a} and {b}");
        let (a, b) = (&one.counts, &other.counts);
        ensure!(a == b, "{flow}: two clean runs count differently: {a:?} and {b:?}");
        let (mut calls, others) = (own_calls(&one), own_calls(other));
        let mut rare: Vec<Point> =
            calls.iter().filter(|call| !others.contains(call)).cloned().collect();
        let more: Vec<Point> = others.into_iter().filter(|call| !calls.contains(call)).collect();
        rare.extend(more.iter().cloned());
        calls.extend(more);
        Ok(Self { flow, calls, rare, clean: one })
    }

    /// A crash before and after each call, and every bad answer of each write.
    pub fn single_cases(&self, depth: Depth) -> Vec<Case> {
        let mut cases = Vec::new();
        for call in &self.calls {
            for stop in [Fault::StopBefore, Fault::StopAfter] {
                cases.push(self.case(Kind::Crash, vec![(call.clone(), stop)]));
            }
            if call.is_write() {
                for fault in depth.answers() {
                    cases.push(self.case(Kind::Answer, vec![(call.clone(), fault)]));
                }
            }
        }
        cases
    }

    /// For a crash after a call: another one after each call of the successor.
    pub fn pair_cases(&self, first: &Case, run: &Run) -> Vec<Case> {
        let [(call, Fault::StopAfter)] = first.disturbance.0.as_slice() else { return Vec::new() };
        let successor = run.calls.get(1).map_or_else(Vec::new, |calls| points(calls));
        let pair = |other| vec![(call.clone(), Fault::StopAfter), (other, Fault::StopAfter)];
        successor.into_iter().map(|other| self.case(Kind::Pair, pair(other))).collect()
    }

    fn case(&self, kind: Kind, faults: Vec<(Point, Fault)>) -> Case {
        Case { flow: self.flow, kind, disturbance: Disturbance(faults) }
    }
}

fn own_calls(run: &Run) -> Vec<Point> {
    run.calls.first().map_or_else(Vec::new, |calls| points(calls))
}
