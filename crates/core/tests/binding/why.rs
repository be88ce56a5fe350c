//! What a claim is told that gets no worker.

use duckworker_core::Image;
use duckworker_core::conditions::{Condition, ConditionStatus, ConditionType};
use duckworker_core::plan::binding::queue::Want;
use duckworker_core::plan::binding::why::Waits;
use duckworker_core::tenant::{Allowance, DeclaredTenant, TenantKey, TenantStatus, TenantTerms};

use crate::claim;
use crate::common::{at, tenant};
use crate::ground::{pool, uid};

#[test]
fn who_waits_is_told_why_by_what_is_most_in_the_way() {
    let claim = claim(1, "a");
    let (own, pinned) = (pool(1, 9), Image::new("duckdb:pinned").unwrap());
    let want = |image: &Image, allowance| Want { image: image.clone(), allowance };
    let usual = want(&own.terms.image, Allowance::More(9));
    let key = TenantKey { namespace: "data".into(), name: tenant("a"), uid: uid("t-a") };
    let terms = TenantTerms { max_workers: Some(0), ..TenantTerms::default() };
    let status = TenantStatus::default();
    let capped = DeclaredTenant { key, generation: 1, deletion: None, terms, status };
    let going = DeclaredTenant { deletion: Some(at(0)), ..capped.clone() };
    let (mut deleted, mut full, mut broken) = (own.clone(), own.clone(), own.clone());
    deleted.deletion = Some(at(0));
    full.status.seats.reserve(9);
    let (holds, message) = (ConditionStatus::True, "no such image");
    let mut degraded =
        Condition::new(ConditionType::Ready, holds, "ImagePullFailed", message, at(0));
    degraded.kind = "Degraded".to_owned();
    broken.status.conditions.push(degraded);

    let waits = Waits { claim: &claim, pool: Some(&own), tenant: None, want: None, before: 0 };
    let usually = Waits { want: Some(&usual), ..waits };
    let undeclared = want(&own.terms.image, Allowance::Nothing);
    let of_version = want(&pinned, Allowance::More(9));
    let cases = [
        (Waits { pool: None, ..waits }, "PoolNotFound", "no DuckWorkerPool p"),
        (Waits { pool: Some(&deleted), ..waits }, "PoolDeleting", "is being deleted"),
        (Waits { want: Some(&undeclared), ..waits }, "TenantUndeclared", "create DuckTenant a"),
        (Waits { tenant: Some(&going), ..usually }, "TenantDeleting", "DuckTenant a is being"),
        (Waits { tenant: Some(&capped), ..usually }, "TenantAtCap", "may hold 0"),
        (Waits { pool: Some(&broken), ..usually }, "ImagePullFailed", "no such image"),
        (Waits { pool: Some(&full), ..usually }, "PoolAtMax", "all 9 workers"),
        (Waits { want: Some(&of_version), ..waits }, "NoneOfVersion", "duckdb:pinned"),
        (usually, "PoolEmpty", "first of its tenant"),
        (Waits { before: 7, ..usually }, "PoolEmpty", "7 of its tenant are before it"),
        (Waits { before: 38, ..usually }, "PoolEmpty", "more than 30 of its tenant"),
    ];
    for (waits, reason, part) in cases {
        let why = waits.why();
        assert_eq!(why.reason, reason);
        assert!(why.message.contains(part), "{reason}: {}", why.message);
    }
}
