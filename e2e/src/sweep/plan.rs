//! Which cases there are: from two undisturbed runs, which also show what two runs have in common.

use std::time::Duration;

use anyhow::{Result, ensure};
use duckworker_faults::{Call, Fault, Meanwhile, Record, Refusal, Verb, Which};
use strum::IntoEnumIterator;

use super::case::{Disturbance, Run};
use super::flow::Flow;

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
            Self::Short => vec![Flow::ApplyToIdle, Flow::DeleteIdle],
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
    /// How many more secrets it may make and delete: a successor that finds a secret and no pod
    /// replaces it, since it cannot know who else has seen the token.
    pub spare_secrets: usize,
}

/// An undisturbed flow.
#[derive(Debug)]
pub struct Model {
    /// Which flow.
    pub flow: Flow,
    /// Its calls.
    pub calls: Vec<Call>,
    /// How it went.
    pub clean: Run,
}

impl Model {
    /// Of two undisturbed runs, which must end alike.
    pub fn of(flow: Flow, one: Run, other: &Run) -> Result<Self> {
        ensure!(one.ending == other.ending, "{flow}: two clean runs end differently");
        ensure!(one.counts == other.counts, "{flow}: two clean runs count differently");
        let shared = calls(one.calls.first()).into_iter().zip(calls(other.calls.first()));
        // Where the two differ (a conflict that was read again), the rest is a matter of luck.
        let alike =
            |pair: &(Call, Call)| pair.0.verb == pair.1.verb && pair.0.what() == pair.1.what();
        let calls = shared.take_while(alike).map(|(call, _)| call).collect();
        Ok(Self { flow, calls, clean: one })
    }

    /// A crash before and after each call, and every bad answer of each write.
    pub fn single_cases(&self, depth: Depth) -> Vec<Case> {
        let mut cases = Vec::new();
        for (k, call) in (1..).zip(&self.calls) {
            for stop in [Fault::StopBefore, Fault::StopAfter] {
                let spare_secrets = usize::from(self.strands_a_secret(k, &stop));
                cases.push(self.case(Kind::Crash, vec![(k, stop)], spare_secrets));
            }
            if call.is_write() {
                for fault in depth.answers() {
                    cases.push(self.case(Kind::Answer, vec![(k, fault)], 0));
                }
            }
        }
        cases
    }

    /// For a crash after a call: another one after each call of the successor.
    pub fn pair_cases(&self, first: &Case, run: &Run) -> Vec<Case> {
        let [(k, Fault::StopAfter)] = first.disturbance.0.as_slice() else { return Vec::new() };
        let successor = run.calls.get(1).map_or(0, Vec::len) as u64;
        let spare =
            if self.place(Verb::Create, "pods").is_some_and(|pod| *k < pod) { 2 } else { 0 };
        let pair = |other| vec![(*k, Fault::StopAfter), (other, Fault::StopAfter)];
        (1..=successor).map(|other| self.case(Kind::Pair, pair(other), spare)).collect()
    }

    fn case(&self, kind: Kind, faults: Vec<(u64, Fault)>, spare_secrets: usize) -> Case {
        Case { flow: self.flow, kind, disturbance: Disturbance(faults), spare_secrets }
    }

    /// Whether a crash leaves a secret without a pod.
    fn strands_a_secret(&self, k: u64, stop: &Fault) -> bool {
        let done = if *stop == Fault::StopAfter { k } else { k - 1 };
        let secret = self.place(Verb::Create, "secrets");
        let pod = self.place(Verb::Create, "pods");
        secret.is_some_and(|secret| done >= secret) && pod.is_some_and(|pod| done < pod)
    }

    fn place(&self, verb: Verb, resource: &str) -> Option<u64> {
        (1..).zip(&self.calls).find(|(_, call)| call.is(verb, resource)).map(|(k, _)| k)
    }
}

fn calls(records: Option<&Vec<Record>>) -> Vec<Call> {
    records.into_iter().flatten().map(|record| record.call.clone()).collect()
}
