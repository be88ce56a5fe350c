//! The rules. `docs/verification.md` says each in a sentence.
//!
//! | file | rules |
//! |---|---|
//! | [`epochs`] | S1 epoch and owner |
//! | [`edges`] | S2, S3 states; S12 the claim's part of it |
//! | [`writes`] | S4 ids of writes, and what the clients say of them |
//! | [`authors`] | S5 who wrote it |
//! | [`deletions`] | S7 (and S6) what may be deleted |
//! | [`owners`] | S8, S16 what may be done to another's worker |
//! | [`children`] | S9, S10, S14 pods and secrets |
//! | [`assignment`] | S11, S12 tenants and claims |
//! | [`endings`] | S13 nothing is left behind |
//! | [`secrecy`] | S17 tokens and keys stay where they are |
//! | [`instances`] | S19 death of instances, S20 the dead do not write |
//! | [`clocks`] | S21 idle clocks |
//! | [`pools`] | S15 a pool's maximum |
//! | [`claims`] | S22 whose worker a claim names |
//! | [`tenants`] | S23 a tenant's cap |
//! | [`calm`] | L1 to L11 and END, when the faults have stopped |

pub mod assignment;
pub mod authors;
pub mod calm;
pub mod children;
pub mod claims;
pub mod clocks;
pub mod deletions;
pub mod edges;
pub mod endings;
pub mod epochs;
pub mod instances;
pub mod owners;
pub mod pools;
pub mod secrecy;
pub mod tenants;
pub mod writes;

use crate::check::Rule;

/// One of each, without memory.
pub fn all() -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(epochs::Epochs::default()),
        Box::new(edges::Edges),
        Box::new(writes::Writes::default()),
        Box::new(authors::Authors),
        Box::new(deletions::Deletions),
        Box::new(owners::Owners),
        Box::new(children::Children::default()),
        Box::new(assignment::Assignment::default()),
        Box::new(endings::Endings::default()),
        Box::new(secrecy::Secrecy::default()),
        Box::new(instances::Instances::default()),
        Box::new(clocks::Clocks),
        Box::new(pools::Pools),
        Box::new(claims::Claims::default()),
        Box::new(tenants::Tenants::default()),
        Box::new(calm::Calm::default()),
    ]
}

#[cfg(test)]
mod tests {
    use crate::line::{PODS, SECRETS};
    use crate::story::Story;

    const A: &str = "a.12345678.x";
    const B: &str = "b.12345678.x";

    /// From its creation to the claim of somebody else.
    fn claimed(story: &mut Story) {
        story.author("sa/a.12345678");
        story.lease(A, "active");
        story.worker("w").by(A, "adopt_new").owned(A, 1, "Spawning");
        story.child(SECRETS, "w");
        let pod = story.child(PODS, "w");
        story.worker("w").pod(&pod).set("secretName", "w").again();
        story.pass(3);
        story.worker("w").set("idleSince", "1").by(A, "ready").owned(A, 1, "Idle");
        story.author("sa/b.12345678");
        story.lease(B, "active");
        story.pass(60);
        let taken = story.worker("w").without("idleSince").set("tenant", "t").set("claim", "c");
        taken.by(B, "claim_idle").owned(B, 2, "Reserved");
    }

    /// From there until it is parked again.
    fn served(story: &mut Story) {
        story.worker("w").by(B, "activate").owned(B, 2, "Activating");
        story.worker("w").by(B, "activated").owned(B, 2, "Hot");
        story.pass(60);
        story.worker("w").owned(B, 3, "Hot");
        story.lease(B, "active");
        let parked = story.worker("w").without("claim").set("idleSince", "2");
        parked.by(B, "release").owned(B, 3, "HotIdle");
    }

    /// From there until nothing of it is left.
    fn ended(story: &mut Story) {
        story.worker("w").without("idleSince").deleting().by(B, "drain").owned(B, 3, "Draining");
        story.delete(PODS, "w");
        story.delete(SECRETS, "w");
        story.worker("w").by(B, "retire_drained").owned(B, 3, "Retired");
        story.worker("w").let_go();
        story.remove_worker("w");
    }

    #[test]
    fn a_good_life_breaks_no_rule() {
        let mut story = Story::new();
        claimed(&mut story);
        served(&mut story);
        ended(&mut story);
        story.pass(600);
        for owner in [A, B] {
            story.lease(owner, "active");
        }
        story.kept_all();
    }
}
