//! A pool's disruption budget, made and mended. Pods do not hang on it, nor does the pool's status:
//! it is written when the pool's spec says so, and at no other time.

use duckworker_api::pool::budget;
use duckworker_core::plan::pool::budget::Covers;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::PostParams;

use super::{PoolSnapshot, PoolStore};
use crate::answer::{self, Answer};
use crate::children::failed;
use crate::error::Error;

/// What became of the write of a budget.
#[derive(Debug)]
#[must_use = "a budget that did not come about must be looked at again"]
pub enum Guarded {
    /// It stands there so.
    Done(Box<PodDisruptionBudget>),
    /// One of that name is there, or the one that was seen has changed or gone.
    Moved,
}

impl PoolStore {
    /// Makes the pool's budget; or changes the spec of the one that was seen, over the version that
    /// was seen.
    ///
    /// # Errors
    /// When the server refuses or does not answer. It is safe to try again.
    pub async fn guard(
        &self,
        seen: &PoolSnapshot,
        found: Option<&PodDisruptionBudget>,
        covers: Covers,
    ) -> Result<Guarded, Error> {
        let (key, wanted) = (&seen.pool.key, budget::of(&seen.pool, covers));
        let name = key.budget_name();
        let what = format!("writing PodDisruptionBudget {}/{name}", key.namespace);
        self.instance.in_office(|| what.clone())?;
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.client(), &key.namespace);
        let params = PostParams::default();
        let answer = match found {
            None => answer::ask(self.deadline(), api.create(&params, &wanted)).await,
            Some(found) => {
                let mended = PodDisruptionBudget { spec: wanted.spec, ..found.clone() };
                answer::ask(self.deadline(), api.replace(&name, &params, &mended)).await
            }
        };
        match answer {
            Answer::Applied(budget) => Ok(Guarded::Done(Box::new(budget))),
            Answer::Conflict(_) => Ok(Guarded::Moved),
            Answer::Refused(kube::Error::Api(status)) if status.code == 404 && found.is_some() => {
                Ok(Guarded::Moved)
            }
            other => Err(failed(what, other)),
        }
    }
}
