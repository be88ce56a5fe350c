//! Rules about the status, generated from the table. They stand at the root, since a rule on a
//! field that was removed does not run.
//!
//! The schema gives every worker a status, so old and new one are always there to compare.

use std::collections::BTreeSet;

use duckworker_core::WorkerState;
use duckworker_core::edges::{Edge, claim_edges, edges};
use duckworker_core::table::{ClaimEffect, TransitionName};
use kube::core::Rule;

use super::{explained, list, quote, rule};

/// The epoch, zero before the first owner.
const EPOCH: &str = "(has(self.status.ownerEpoch) ? self.status.ownerEpoch : 0)";
/// The epoch before.
const OLD_EPOCH: &str = "(has(oldSelf.status.ownerEpoch) ? oldSelf.status.ownerEpoch : 0)";
/// The change of state, as the lists of edges spell it.
const EDGE: &str = "(oldSelf.status.state + '>' + self.status.state)";
/// Somebody wrote something else than the status.
const UNTOUCHED: &str = "self.status == oldSelf.status";

/// The rules at the root of the schema.
pub fn root_rules() -> Vec<Rule> {
    vec![
        status_stays(),
        only_table_edges(),
        each_write_is_signed(),
        owner_changes_with_epoch(),
        epoch_rises_for_a_reason(),
        tenant_is_set_once(),
        tenants_agree(),
        claim_follows_the_table(),
        pod_and_secret_are_recorded_once(),
        history_is_kept(),
        clocks_follow_the_state(),
    ]
}

/// The rules on the status alone: what holds in each state, whatever stood there before.
pub fn invariants() -> Vec<Rule> {
    let states = |wanted: fn(WorkerState) -> bool| {
        list(WorkerState::ALL.into_iter().filter(|state| wanted(*state)))
    };
    vec![
        rule(
            "self.state == 'Pending' ? !has(self.owner) && !has(self.ownerEpoch) \
             : has(self.owner) && has(self.ownerEpoch)",
            "status.owner and status.ownerEpoch are set together: neither while status.state is \
             Pending, both afterwards",
        ),
        rule(
            format!(
                "has(self.tenant) ? !(self.state in {}) : !(self.state in {})",
                states(WorkerState::forbids_tenant),
                states(WorkerState::needs_tenant),
            ),
            "status.tenant is set from Reserved on, and never in Pending, Spawning or Idle",
        ),
        rule(
            "self.state != 'Pending' || !(has(self.claim) || has(self.transitions) || \
             has(self.stateSince) || has(self.idleSince) || has(self.pod) || has(self.secretName) \
             || has(self.endpoint) || has(self.serverName) || has(self.credentialsExpireAt))",
            "while status.state is Pending only status.conditions and status.observedGeneration \
             may be written",
        ),
    ]
}

fn status_stays() -> Rule {
    rule(
        "has(self.status) || !has(oldSelf.status)",
        "status cannot be removed: it says who owns the worker",
    )
}

fn only_table_edges() -> Rule {
    let expression = format!(
        "({EPOCH} == {OLD_EPOCH} ? {EDGE} in {same} \
         : {EPOCH} == {OLD_EPOCH} + 1 && {EDGE} in {rising}) || {UNTOUCHED}",
        same = edge_list(|edge| !edge.epoch_rises),
        rising = edge_list(|edge| edge.epoch_rises),
    );
    // A chain of choices: the estimated cost of a look-up in a map would know no bound.
    let ways: String = WorkerState::ALL.into_iter().rev().fold("''".to_owned(), |others, from| {
        let this = quote(&ways_out_of(from));
        format!("oldSelf.status.state == {} ? {this} : {others}", quote(&from.to_string()))
    });
    explained(
        expression,
        format!(
            "'status.state cannot go from ' + oldSelf.status.state + ' to ' + self.status.state + \
             ({EPOCH} == {OLD_EPOCH} ? ' with the same ownerEpoch: ' \
             : {EPOCH} == {OLD_EPOCH} + 1 ? ' with ownerEpoch one higher: ' \
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

fn each_write_is_signed() -> Rule {
    rule(
        format!(
            "(has(self.status.writes) && (!has(oldSelf.status.writes) ? \
             self.status.writes.seq == 1 && size(self.status.writes.ids) == 1 \
             : self.status.writes.seq == oldSelf.status.writes.seq + 1 \
             && !(self.status.writes.ids[0] in oldSelf.status.writes.ids) \
             && {})) || {UNTOUCHED}",
            pushed("writes.ids"),
        ),
        "every write of the status puts a new id before the newest four of status.writes.ids and \
         raises status.writes.seq by one, so that its author can recognise it",
    )
}

/// The list is the old one with one more at its head, cut to five.
fn pushed(field: &str) -> String {
    let (new, old) = (format!("self.status.{field}"), format!("oldSelf.status.{field}"));
    format!(
        "(size({old}) < 5 ? {new} == [{new}[0]] + {old} \
         : {new} == [{new}[0], {old}[0], {old}[1], {old}[2], {old}[3]])"
    )
}

fn owner_changes_with_epoch() -> Rule {
    rule(
        format!(
            "{EPOCH} != {OLD_EPOCH} || !has(oldSelf.status.owner) \
             || (has(self.status.owner) && self.status.owner == oldSelf.status.owner)"
        ),
        "status.owner changes only together with status.ownerEpoch: raise ownerEpoch by one when \
         you take a worker over",
    )
}

fn epoch_rises_for_a_reason() -> Rule {
    let staying = |name: TransitionName| {
        list(edges().into_iter().filter(|edge| edge.by == name).map(|edge| edge.from))
    };
    explained(
        format!(
            "self.status.state != oldSelf.status.state || {EPOCH} == {OLD_EPOCH} \
             || (has(self.status.owner) && has(oldSelf.status.owner) \
             && self.status.owner == oldSelf.status.owner \
             ? self.status.state in {} : self.status.state in {})",
            staying(TransitionName::RefreshLease),
            staying(TransitionName::Adopt),
        ),
        "'status.ownerEpoch does not rise in ' + self.status.state + ' for the same owner: a lease \
         is refreshed only in ' + \
         "
        .to_owned()
            + &quote(&spoken(TransitionName::RefreshLease)),
    )
}

fn spoken(name: TransitionName) -> String {
    let states: Vec<String> = name.rule().from.iter().map(ToString::to_string).collect();
    states.join(", ")
}

fn tenant_is_set_once() -> Rule {
    let assigning = |edge: &Edge| edge.from.forbids_tenant() && edge.to.needs_tenant();
    explained(
        format!(
            "has(oldSelf.status.tenant) \
             ? has(self.status.tenant) && self.status.tenant == oldSelf.status.tenant \
             : !has(self.status.tenant) || {EDGE} in {}",
            edge_list(assigning),
        ),
        "has(oldSelf.status.tenant) ? 'status.tenant is ' + oldSelf.status.tenant + \
         ' for good: a worker never serves a second tenant' \
         : 'status.tenant is set only when an Idle worker becomes Reserved'"
            .to_owned(),
    )
}

fn tenants_agree() -> Rule {
    rule(
        "!has(self.spec.tenant) || !has(self.status) || !has(self.status.tenant) \
         || self.spec.tenant == self.status.tenant",
        "status.tenant must be spec.tenant: the worker is dedicated to that one",
    )
}

fn claim_follows_the_table() -> Rule {
    let edges_of = |effect| {
        list(claim_edges(effect).into_iter().map(|(from, to)| format!("{from}>{to}")))
    };
    rule(
        format!(
            "{EDGE} in {setting} || ({EDGE} in {clearing} ? !has(self.status.claim) \
             : {EDGE} in {unclaimed} ? !has(self.status.claim) && !has(oldSelf.status.claim) \
             : has(self.status.claim) == has(oldSelf.status.claim) \
             && (!has(self.status.claim) || self.status.claim == oldSelf.status.claim))",
            setting = edges_of(ClaimEffect::Set),
            clearing = edges_of(ClaimEffect::Clear),
            unclaimed = edge_list(|edge| edge.by == TransitionName::TakeOver),
        ),
        "status.claim is set when an Idle or HotIdle worker becomes Reserved, cleared when it \
         becomes HotIdle, and kept by every other change; a worker with a claim is not taken over",
    )
}

fn pod_and_secret_are_recorded_once() -> Rule {
    rule(
        "(!has(oldSelf.status.pod) || (has(self.status.pod) \
         && self.status.pod.uid == oldSelf.status.pod.uid)) \
         && (!has(oldSelf.status.secretName) || (has(self.status.secretName) \
         && self.status.secretName == oldSelf.status.secretName))",
        "status.pod.uid and status.secretName are recorded once: a worker has one pod and one \
         secret in its life",
    )
}

fn history_is_kept() -> Rule {
    let stays = "self.status.state == oldSelf.status.state && has(self.status.owner) == \
                 has(oldSelf.status.owner) && (!has(self.status.owner) || self.status.owner == \
                 oldSelf.status.owner)";
    rule(
        format!(
            "({stays}) ? has(self.status.transitions) == has(oldSelf.status.transitions) \
             && (!has(self.status.transitions) \
             || self.status.transitions == oldSelf.status.transitions) \
             : has(self.status.transitions) && size(self.status.transitions) > 0 \
             && self.status.transitions[0].epoch == {EPOCH} \
             && (!has(oldSelf.status.transitions) ? size(self.status.transitions) == 1 : {})",
            pushed("transitions"),
        ),
        "a change of status.state or status.owner, and nothing else, puts one entry with the new \
         ownerEpoch before the newest four of status.transitions",
    )
}

fn clocks_follow_the_state() -> Rule {
    let same = |field: &str| {
        format!(
            "has(self.status.{field}) == has(oldSelf.status.{field}) && \
             (!has(self.status.{field}) || self.status.{field} == oldSelf.status.{field})"
        )
    };
    rule(
        format!(
            "self.status.state == oldSelf.status.state ? {} && {} : has(self.status.stateSince) \
             && has(self.status.idleSince) == (self.status.state in ['Idle', 'HotIdle'])",
            same("stateSince"),
            same("idleSince"),
        ),
        "status.stateSince changes with status.state and only then; status.idleSince is set on the \
         way to Idle and HotIdle, cleared on the way out, and untouched by everything else",
    )
}

/// The edges that fit, as the expressions spell them.
fn edge_list(fits: impl Fn(&Edge) -> bool) -> String {
    let pairs: BTreeSet<(WorkerState, WorkerState)> =
        edges().iter().filter(|edge| fits(edge)).map(|edge| (edge.from, edge.to)).collect();
    list(pairs.into_iter().map(|(from, to)| format!("{from}>{to}")))
}
