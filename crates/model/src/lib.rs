//! Controllers that share workers, as a model checker sees them: every order in which requests can
//! arrive, every point at which a process can die, every wrong opinion that a cache can hold.
//!
//! What processes decide is not modelled but called: `decide`, the plan of a worker and the
//! janitor's judgement are `duckworker-core`'s own. Modelled is what lies between them: an API server
//! with versions, a network that delays, loses and doubles, caches that lag, Leases that are marked
//! expired *at any time* (so that safety does not rest on any clock), crashes.
//!
//! It starts from every moment of a life in which nothing goes wrong, and goes on from there in every
//! way, so many steps deep.
//!
//! | file | holds |
//! |---|---|
//! | [`state`] | what there is: objects, processes, messages |
//! | [`server`] | what becomes of a message that arrives, and the rules that it must keep |
//! | [`process`] | what a process does next |
//! | [`model`](mod@model) | all actions, and the properties |

pub mod model;
pub mod process;
pub mod server;
pub mod state;

pub use model::{Bounds, Fleet, not_reached};

#[cfg(test)]
mod tests {
    use stateright::{Checker as _, Model as _};

    use super::*;

    #[test]
    fn near_a_faultless_life_all_rules_hold() {
        let bounds = Bounds {
            workers: 1,
            crashes: 1,
            expiries: 1,
            doubles: 1,
            deaths: 1,
            claims: 3,
            deletions: true,
            late: true,
        };
        let checker = Fleet { bounds }.checker().target_max_depth(6).spawn_bfs().join();
        if let Some(path) = checker.discovery("the rules hold") {
            panic!("{:?}: {path}", path.last_state().broken);
        }
        assert_eq!(not_reached(&checker), Vec::<&str>::new());
        assert!(checker.unique_state_count() > 1000, "{}", checker.unique_state_count());
    }
}
