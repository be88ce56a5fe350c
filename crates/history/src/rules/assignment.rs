//! S11: a tenant is assigned once and for all, and who claims a worker for a tenant gets one of
//! that tenant. S12: a claim holds one worker, and an epoch serves one claim.

use std::collections::BTreeMap;

use crate::check::{Report, Rule, Step, Violation};
use crate::line::{CLAIMS, Operation, Outcome};
use crate::seen::Worker;
use crate::world::{Settings, World};

/// Who held which claim, and which tenant each write left.
#[derive(Debug, Default)]
pub struct Assignment {
    /// The claim of every epoch of every worker.
    claims: BTreeMap<(String, i64), String>,
    /// The tenant after each write.
    tenants: BTreeMap<String, Option<String>>,
    asked: Vec<Operation>,
}

impl Rule for Assignment {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        let Some((old, new)) = step.worker else { return };
        if old.status == new.status {
            return;
        }
        tenant(step, old, new, report);
        if let Some(id) = new.ids.first() {
            self.tenants.insert(id.clone(), new.tenant.clone());
        }
        let Some(claim) = &new.claim else { return };
        let key = (step.uid().to_owned(), new.epoch);
        let known = self.claims.entry(key).or_insert_with(|| claim.clone());
        if known != claim {
            let what = format!("epoch {} serves the claims {known} and {claim}", new.epoch);
            step.breaks(report, "S12", what);
        }
        // What is a claim of ours, an object, decides by its own status between two that name it.
        let is_ours = step.world.object(CLAIMS, claim).is_some();
        if old.claim.as_ref() != Some(claim) && !is_ours {
            let mut others = step.world.workers().filter(|(uid, _)| *uid != step.uid());
            let holder = others.find(|(_, w)| w.is_active() && w.claim.as_ref() == Some(claim));
            if let Some((_, holder)) = holder {
                step.breaks(report, "S12", format!("claim {claim} holds {} too", holder.name));
            }
        }
    }

    fn operation(&mut self, operation: &Operation, _world: &World, _report: &mut Report) {
        if operation.tenant.is_some() {
            self.asked.push(operation.clone());
        }
    }

    fn end(&mut self, _world: &World, _settings: &Settings, report: &mut Report) {
        for operation in &self.asked {
            let Outcome::Won(id) = &operation.outcome else { continue };
            let Some(tenant) = self.tenants.get(id) else { continue };
            if *tenant != operation.tenant {
                report.push(Violation {
                    rule: "S11",
                    object: format!("worker {}", operation.worker),
                    revisions: vec![],
                    what: format!(
                        "{} won it for {:?}, and it is assigned to {tenant:?}",
                        operation.owner, operation.tenant
                    ),
                });
            }
        }
    }
}

fn tenant(step: &Step<'_>, old: &Worker, new: &Worker, report: &mut Report) {
    if old.tenant.is_some() && old.tenant != new.tenant {
        let what = format!("the tenant goes from {:?} to {:?}", old.tenant, new.tenant);
        step.breaks(report, "S11", what);
    }
    let Some(state) = new.state else { return };
    if state.forbids_tenant() && new.tenant.is_some() {
        step.breaks(report, "S11", format!("a tenant in {state}"));
    }
    if state.needs_tenant() && new.tenant.is_none() {
        step.breaks(report, "S11", format!("no tenant in {state}"));
    }
}

#[cfg(test)]
mod tests {
    use crate::line::Outcome;
    use crate::story::Story;

    #[test]
    fn a_tenant_is_for_ever() {
        let mut story = Story::new();
        story.worker("w").set("tenant", "t").owned("a", 1, "Hot");
        story.worker("w").set("tenant", "u").owned("a", 1, "HotIdle");
        story.broke("S11");
    }

    #[test]
    fn who_claims_for_a_tenant_gets_one_of_its_own() {
        let mut story = Story::new();
        story.worker("w").set("tenant", "t").owned("a", 1, "HotIdle");
        story.worker("w").set("tenant", "t").write("id-9").owned("b", 2, "Reserved");
        story.claim("w", "u", Outcome::Won("id-9".to_owned()));
        story.broke("S11");
    }

    #[test]
    fn a_claim_holds_one_worker() {
        let mut story = Story::new();
        for worker in ["v", "w"] {
            story.worker(worker).owned("a", 1, "Idle");
            story.worker(worker).set("tenant", "t").set("claim", "c").owned("a", 2, "Reserved");
        }
        story.broke("S12");
    }
}
