//! S22: a claim names a worker that holds it, no two name one, and it lets go of a worker only when
//! that is lost. Failed and Lost are final.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::check::{Report, Rule, Step};
use crate::line::{CLAIMS, Change, WORKERS, name_of};

/// Which worker ever held which claim.
#[derive(Debug, Default)]
pub struct Claims {
    held: BTreeSet<(String, String)>,
}

impl Rule for Claims {
    fn version(&mut self, step: &Step<'_>, report: &mut Report) {
        match (step.version.collection.as_str(), step.version.change) {
            (WORKERS, Change::Created | Change::Updated) => {
                if let Some(claim) = step.version.object["status"]["claim"]["uid"].as_str() {
                    self.held.insert((step.uid().to_owned(), claim.to_owned()));
                }
            }
            (CLAIMS, Change::Updated) => self.claim(step, report),
            _ => {}
        }
    }
}

impl Claims {
    fn claim(&self, step: &Step<'_>, report: &mut Report) {
        let Some(before) = step.world.object(CLAIMS, step.uid()) else { return };
        let (old, new) = (&before.value, &step.version.object);
        if is_final(old) && phase(old) != phase(new) {
            step.breaks(report, "S22", format!("{:?} is not final", phase(old)));
        }
        if worker(old) == worker(new) {
            return;
        }
        if let Some(lost) = worker(old).filter(|uid| serves(step, uid)) {
            step.breaks(report, "S22", format!("it lets go of {lost}, which serves it"));
        }
        let Some(uid) = worker(new) else { return };
        if !self.held.contains(&(uid.to_owned(), step.uid().to_owned())) {
            step.breaks(report, "S22", format!("{uid} never held it"));
        }
        let names_it = |object: &Value| worker(object) == Some(uid) && !is_final(object);
        let mut others = step.world.all(CLAIMS).filter(|(other, _)| *other != step.uid());
        if let Some((_, other)) = others.find(|(_, other)| names_it(&other.value)) {
            step.breaks(report, "S22", format!("{} names {uid} too", name_of(&other.value)));
        }
    }
}

/// It is there, has not ended, and holds the claim.
fn serves(step: &Step<'_>, uid: &str) -> bool {
    let worker = step.world.worker(uid);
    worker.is_some_and(|w| !w.may_lose_children() && w.claim.as_deref() == Some(step.uid()))
}

fn worker(claim: &Value) -> Option<&str> {
    claim["status"]["worker"]["uid"].as_str()
}

fn phase(claim: &Value) -> Option<&str> {
    claim["status"]["phase"].as_str()
}

fn is_final(claim: &Value) -> bool {
    matches!(phase(claim), Some("Lost" | "Failed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::story::Story;

    fn claim(phase: &str, worker: Option<&str>) -> serde_json::Value {
        let worker = worker.map(|uid| json!({ "uid": uid }));
        json!({ "status": { "phase": phase, "worker": worker } })
    }

    fn held() -> Story {
        let mut story = Story::new();
        story.worker("w").set("tenant", "t").set("claim", "c").owned("a", 1, "Hot");
        story.object("workerclaims", "c", claim("Pending", None));
        story.object("workerclaims", "c", claim("Ready", Some("w")));
        story.kept("S22");
        story
    }

    #[test]
    fn a_claim_names_who_holds_it() {
        let mut story = held();
        story.object("workerclaims", "d", claim("Pending", None));
        story.object("workerclaims", "d", claim("Ready", Some("v")));
        story.broke("S22");
    }

    #[test]
    fn a_claim_keeps_who_serves_it() {
        let mut story = held();
        story.object("workerclaims", "c", claim("Pending", None));
        story.broke("S22");
    }

    #[test]
    fn the_end_is_final() {
        let mut story = Story::new();
        story.object("workerclaims", "c", claim("Failed", None));
        story.object("workerclaims", "c", claim("Pending", None));
        story.broke("S22");
    }
}
