//! Which workers a claimer tries, and in what order.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{at, owner, tenant, worker};
use duckworker_core::names::Uid;
use duckworker_core::plan::claim::{Wanted, candidates};
use duckworker_core::{Image, Worker, WorkerState as S};

fn named(uid: &str, state: S) -> Worker {
    let mut named = worker(state);
    named.key.uid = Uid::new(uid).unwrap();
    named
}

fn order(by: &str, version: Option<&str>, workers: &[Worker]) -> Vec<String> {
    let (tenant, by) = (tenant("acme"), owner(by));
    let version = version.map(|version| Image::new(version).unwrap());
    let wanted = Wanted { tenant: &tenant, version: version.as_ref(), by: &by };
    let found = candidates(&wanted, workers, |worker| worker);
    found.into_iter().map(|worker| worker.key.uid.to_string()).collect()
}

#[test]
fn the_tenants_own_come_first_and_only_the_free_are_tried() {
    let mut all: Vec<Worker> =
        S::ALL.iter().map(|state| named(&state.to_string(), *state)).collect();
    assert_eq!(order("me", None, &all), ["HotIdle", "Idle"]);
    let mut others = named("others", S::HotIdle);
    others.status.tenant = Some(tenant("umbrella"));
    let mut deleting = named("deleting", S::Idle);
    deleting.deletion = Some(at(0));
    let mut dedicated = named("dedicated", S::Idle);
    dedicated.spec.dedicated_to = Some(tenant("acme"));
    all.extend([others, deleting, dedicated]);
    assert_eq!(order("me", None, &all), ["HotIdle", "Idle"]);
}

#[test]
fn another_version_is_left_alone() {
    let mut newer = named("newer", S::Idle);
    newer.spec.image = Image::new("duckdb:2").unwrap();
    let workers = [named("old", S::Idle), named("parked", S::HotIdle), newer];
    assert_eq!(order("me", Some("duckdb:2"), &workers), ["newer"]);
    assert_eq!(order("me", Some("duckdb:1"), &workers), ["parked", "old"]);
    assert_eq!(order("me", Some("duckdb:3"), &workers), [""; 0]);
}

#[test]
fn claimers_do_not_all_run_after_the_same_worker() {
    let workers: Vec<Worker> = (0..8).map(|n| named(&format!("u-{n}"), S::Idle)).collect();
    let mut firsts: Vec<String> =
        (0..32).map(|n| order(&format!("cp-{n}"), None, &workers).swap_remove(0)).collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() >= 6, "{firsts:?}");
    assert_eq!(order("cp-1", None, &workers), order("cp-1", None, &workers));
}
