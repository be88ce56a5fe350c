//! Rules about changes, generated from the table.
//!
//! Those about the status stand on `.status`: the schema gives every worker a status, so old and
//! new one are always there to compare, and a status that is removed falls back to Pending, to
//! which no edge leads. At the root stands what joins status and spec.

use std::collections::BTreeSet;

use duckworker_core::WorkerState;
use duckworker_core::edges::{Edge, edges};
use duckworker_core::table::{ClaimEffect, TransitionName};
use kube::core::{Message, Rule};

use super::{Check, all_hold, bind, bind_all, bind_text, first_sentence, list, quote};

/// The short names of the checks on the status, outermost first. The API server's estimate of
/// costs knows no limit for what has such a name, so texts of users do not get one.
///
/// Epoch and writes have defaults in the schema (zero, and none), so they are always there.
const NAMES: [(&str, &str); 5] = [
    ("w", "self.writes"),
    ("v", "oldSelf.writes"),
    ("e", "self.ownerEpoch"),
    ("f", "oldSelf.ownerEpoch"),
    // The edge, as the lists spell it.
    ("edge", "oldSelf.state + '>' + self.state + (e == f ? '' : e == f + 1 ? '+1' : '?')"),
];

/// The rule on `.status`.
pub fn rule() -> Rule {
    let checks = checks();
    let holds = bind_all(&NAMES, bind, all_hold(&checks));
    // Last, since it is costly: nothing was written.
    Rule::new(format!("{holds} || self == oldSelf")).message(Message::Expression(bind_all(
        &NAMES,
        bind_text,
        first_sentence(&checks),
    )))
}

/// The rule at the root. A write that changes the status cannot change the spec, and the other
/// way round, so the costly comparison of templates is left to the rare writes of the spec.
pub fn root_rule() -> Rule {
    let writes_status = "self.status.writes.seq != oldSelf.status.writes.seq";
    let (status, spec) = (status_fits_spec(), spec_stays());
    Rule::new(format!("{writes_status} ? {} : {}", all_hold(&status), all_hold(&spec))).message(
        Message::Expression(format!(
            "{writes_status} ? ({}) : ({})",
            first_sentence(&status),
            first_sentence(&spec)
        )),
    )
}

fn status_fits_spec() -> Vec<Check> {
    vec![Check::new(
        "!has(self.spec.tenant) || !has(self.status.tenant) \
         || self.spec.tenant == self.status.tenant",
        "status.tenant must be spec.tenant: the worker is dedicated to that one",
    )]
}

fn spec_stays() -> Vec<Check> {
    vec![
        Check::new(
            "self.spec.template == oldSelf.spec.template",
            "spec.template cannot be changed: a worker is never restarted in place; create another",
        ),
        Check::new(
            "has(self.spec.tenant) == has(oldSelf.spec.tenant) \
             && (!has(self.spec.tenant) || self.spec.tenant == oldSelf.spec.tenant)",
            "spec.tenant cannot be set, changed or unset on an existing worker; create another",
        ),
        Check::new(
            "self.spec.connection == oldSelf.spec.connection",
            "spec.connection cannot be changed: the running pod was made for it; create another",
        ),
    ]
}

fn checks() -> Vec<Check> {
    vec![
        each_write_is_signed(),
        only_table_edges(),
        owner_and_epoch_go_together(),
        owner_changes_with_epoch(),
        pending_is_bare(),
        tenant_is_set_once(),
        claim_follows_the_table(),
        pod_and_secret_are_recorded_once(),
    ]
}

fn each_write_is_signed() -> Check {
    let (new, old) = ("self.writes.ids", "oldSelf.writes.ids");
    Check::new(
        format!(
            "w.seq == v.seq + 1 && size(w.ids) > 0 && !(w.ids[0] in {old}) && (size(v.ids) < 5 \
             ? {new} == [w.ids[0]] + {old} \
             : {new} == [w.ids[0], v.ids[0], v.ids[1], v.ids[2], v.ids[3]])"
        ),
        "every write of the status puts a new id before the newest four of status.writes.ids and \
         raises status.writes.seq by one, so that its author can recognise it",
    )
}

fn only_table_edges() -> Check {
    // A chain of choices: the estimated cost of a look-up in a map would know no bound.
    let ways = WorkerState::ALL.into_iter().rev().fold(quote(""), |others, from| {
        let this = quote(&ways_out_of(from));
        format!("oldSelf.state == {} ? {this} : {others}", quote(&from.to_string()))
    });
    Check::explained(
        format!("edge in {}", edge_list(|_| true)),
        format!(
            "'status.state cannot go from ' + oldSelf.state + ' to ' + self.state + \
             (e == f ? ' with the same ownerEpoch: ' : e == f + 1 ? ' with ownerEpoch one higher: ' \
             : ' with an ownerEpoch that is neither the same nor one higher: ') + ({ways})"
        ),
    )
}

/// What a user may do instead, in words.
fn ways_out_of(from: WorkerState) -> String {
    let towards = |rises: bool| -> Vec<String> {
        let targets: BTreeSet<WorkerState> = edges()
            .into_iter()
            .filter(|edge| edge.from == from && edge.to != from && edge.epoch_rises == rises)
            .map(|edge| edge.to)
            .collect();
        targets.iter().map(ToString::to_string).collect()
    };
    let (same, rising) = (towards(false), towards(true));
    let mut ways = Vec::new();
    if !same.is_empty() {
        ways.push(format!("to {} with the same ownerEpoch", same.join(", ")));
    }
    if !rising.is_empty() {
        ways.push(format!("to {} with ownerEpoch one higher", rising.join(", ")));
    }
    if ways.is_empty() {
        format!("{from} is final and its status never changes; create another worker")
    } else {
        format!("from {from} it may go {}", ways.join(", and "))
    }
}

fn owner_and_epoch_go_together() -> Check {
    let new = new_edges();
    Check::new(
        format!("has(self.owner) ? e > 0 && !(edge in {new}) : e == 0 && edge in {new}"),
        "status.owner and status.ownerEpoch are set together: neither while status.state is \
         Pending, both afterwards",
    )
}

/// Those on which a worker is still Pending.
fn new_edges() -> String {
    edge_list(|edge| edge.to == WorkerState::Pending)
}

fn owner_changes_with_epoch() -> Check {
    let resting = TransitionName::RefreshLease.rule().from;
    let spoken: Vec<String> = resting.iter().map(ToString::to_string).collect();
    let restless =
        |edge: &Edge| edge.from == edge.to && edge.epoch_rises && !resting.contains(&edge.from);
    Check::explained(
        format!(
            "e == f ? e == 0 || self.owner == oldSelf.owner \
             : !(edge in {}) || self.owner != oldSelf.owner",
            edge_list(restless),
        ),
        format!(
            "e == f ? 'status.owner changes only together with status.ownerEpoch: raise ownerEpoch \
             by one when you take a worker over' : {}",
            quote(&format!(
                "status.ownerEpoch rises for the same owner in the same state only in {}: there a \
                 lease can be refreshed",
                spoken.join(", ")
            ))
        ),
    )
}

fn pending_is_bare() -> Check {
    let forbidden = [
        "claim",
        "transitions",
        "stateSince",
        "idleSince",
        "pod",
        "secretName",
        "endpoint",
        "serverName",
        "credentialsExpireAt",
    ];
    let present: Vec<String> = forbidden.iter().map(|field| format!("has(self.{field})")).collect();
    Check::new(
        format!("!(edge in {}) || !({})", new_edges(), present.join(" || ")),
        "while status.state is Pending only status.conditions and status.observedGeneration may \
         be written",
    )
}

fn tenant_is_set_once() -> Check {
    let assigning = |edge: &Edge| edge.from.forbids_tenant() && edge.to.needs_tenant();
    Check::explained(
        format!(
            "has(oldSelf.tenant) ? has(self.tenant) && self.tenant == oldSelf.tenant \
             : has(self.tenant) == (edge in {})",
            edge_list(assigning),
        ),
        "has(oldSelf.tenant) ? 'status.tenant is set for good: a worker never serves a second \
         tenant' : 'status.tenant is set when an Idle worker becomes Reserved, and only then'",
    )
}

fn claim_follows_the_table() -> Check {
    let setting = edge_list(|edge| edge.by.rule().claim == ClaimEffect::Set);
    let clearing = |edge: &Edge| edge.by.rule().claim == ClaimEffect::Clear;
    Check::new(
        format!(
            "has(self.claim) ? edge in {setting} || (has(oldSelf.claim) \
             && self.claim.uid == oldSelf.claim.uid && self.claim.name == oldSelf.claim.name \
             && !(edge in {})) : !has(oldSelf.claim) || edge in {} || edge in {setting}",
            edge_list(|edge| clearing(edge) || edge.by == TransitionName::TakeOver),
            edge_list(clearing),
        ),
        "status.claim is set when an Idle or HotIdle worker becomes Reserved, cleared when it \
         becomes HotIdle, and kept by every other change; a worker with a claim is not taken over",
    )
}

fn pod_and_secret_are_recorded_once() -> Check {
    Check::new(
        "(!has(oldSelf.pod) || (has(self.pod) && self.pod.uid == oldSelf.pod.uid)) \
         && (!has(oldSelf.secretName) || (has(self.secretName) \
         && self.secretName == oldSelf.secretName))",
        "status.pod.uid and status.secretName are recorded once: a worker has one pod and one \
         secret in its life",
    )
}

/// The edges that fit, as [`NAMES`] spells them.
fn edge_list(fits: impl Fn(&Edge) -> bool) -> String {
    let fitting: BTreeSet<(WorkerState, WorkerState, bool)> = edges()
        .iter()
        .filter(|edge| fits(edge))
        .map(|edge| (edge.from, edge.to, edge.epoch_rises))
        .collect();
    list(
        fitting
            .into_iter()
            .map(|(from, to, rises)| format!("{from}>{to}{}", if rises { "+1" } else { "" })),
    )
}
