//! A pool's `PodDisruptionBudget`, in both directions.

use std::collections::BTreeMap;

use duckworker_core::plan::pool::budget::Covers;
use duckworker_core::pool::{Pool, PoolRef};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{parse, wire};
use crate::labels::{BUSY, POOL_NAME};

/// More pods than there can be: so none of those selected may go. A number, since Kubernetes reckons
/// a share, and `maxUnavailable`, only for pods whose owner it can ask how many it wants.
const ALL: i32 = i32::MAX;

/// The budget of a pool, as it shall be.
pub fn of(pool: &Pool, covers: Covers) -> PodDisruptionBudget {
    let mut owner = wire::owner_reference(pool);
    // It need not be gone before the pool is.
    owner.block_owner_deletion = None;
    PodDisruptionBudget {
        metadata: ObjectMeta {
            name: Some(pool.key.budget_name()),
            namespace: Some(pool.key.namespace.clone()),
            labels: Some(BTreeMap::from([(POOL_NAME.to_owned(), pool.key.name.clone())])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(spec(&pool.key.name, covers)),
        status: None,
    }
}

fn spec(pool: &str, covers: Covers) -> PodDisruptionBudgetSpec {
    let not_idle = LabelSelectorRequirement {
        key: BUSY.to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(vec!["false".to_owned()]),
    };
    PodDisruptionBudgetSpec {
        min_available: Some(IntOrString::Int(ALL)),
        selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(POOL_NAME.to_owned(), pool.to_owned())])),
            match_expressions: (covers == Covers::AllButIdle).then(|| vec![not_idle]),
        }),
        ..PodDisruptionBudgetSpec::default()
    }
}

/// The pool that a budget belongs to: by its controller reference, and by nothing else.
pub fn pool_of(budget: &PodDisruptionBudget) -> Option<PoolRef> {
    parse::pool_of(&budget.metadata)
}

/// Which pods of its pool a budget keeps from eviction; none if it says something else.
pub fn covers(budget: &PodDisruptionBudget) -> Option<Covers> {
    let (owner, found) = (pool_of(budget)?, budget.spec.as_ref()?);
    [Covers::Everyone, Covers::AllButIdle].into_iter().find(|c| *found == spec(&owner.name, *c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn pool() -> Pool {
        let mut object = samples::pool();
        object.metadata.namespace = Some("data".to_owned());
        object.metadata.uid = Some("u-1".to_owned());
        parse::pool(&object).unwrap()
    }

    #[test]
    fn a_budget_is_read_as_it_was_made() {
        for covered in [Covers::Everyone, Covers::AllButIdle] {
            let made = of(&pool(), covered);
            assert_eq!(covers(&made), Some(covered));
            assert_eq!(pool_of(&made).unwrap().uid.as_str(), "u-1");
            let mut edited = made.clone();
            edited.spec.as_mut().unwrap().min_available = Some(IntOrString::Int(1));
            assert_eq!(covers(&edited), None);
            let mut foreign = made;
            foreign.metadata.owner_references = None;
            assert_eq!(covers(&foreign), None);
        }
    }

    #[test]
    fn a_successor_of_the_same_name_has_a_budget_of_its_own() {
        let (pool, mut successor) = (pool(), pool());
        successor.key.uid = duckworker_core::Uid::new("u-2").unwrap();
        assert_ne!(pool.key.budget_name(), successor.key.budget_name());
        assert!(pool.key.budget_name().starts_with("sample-"));
    }
}
