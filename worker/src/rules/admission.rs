//! Which sessions may begin, which statements may run, and when a drain is over.

use thiserror::Error;

use super::activation::Phase;

/// How much the worker takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions that `CreateSession` begins.
    pub sessions: usize,
    /// Connections without a session of their own that run statements.
    pub connections: usize,
    /// Whether statements run before a tenant's activation is in force.
    pub before_activation: BeforeActivation,
}

/// What becomes of statements before a tenant's activation is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeforeActivation {
    /// They are refused: what a session did before could be seen by the tenant.
    Refuse,
    /// They run: the worker is used without a control plane.
    Allow,
}

/// What the worker is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Sessions that `CreateSession` began.
    pub sessions: usize,
    /// Connections that have run a statement.
    pub connections: usize,
    /// Of those, how many are in a transaction.
    pub transactions: usize,
    /// Statements that run or are being sent.
    pub statements: usize,
}

/// The state that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Serving or draining.
    pub phase: Phase,
    /// Whether a tenant's activation is in force.
    pub activated: bool,
}

/// Why something may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Denied {
    /// The process was told to end.
    #[error("this worker is draining and begins nothing new; connect to another worker")]
    Draining,
    /// No tenant yet.
    #[error(
        "this worker was not activated for a tenant yet; to use it without a control plane, set \
         DUCKWORKER_REQUIRE_ACTIVATION=false"
    )]
    NotActivated,
    /// All sessions are taken.
    #[error("this worker has its {0} session(s) already; end one, or take another worker")]
    Sessions(usize),
    /// All connections are taken.
    #[error("{0} connections run statements on this worker already; close one, or try later")]
    Connections(usize),
}

/// Whether `CreateSession` may begin one.
pub fn session(gate: Gate, limits: Limits, load: Load) -> Result<(), Denied> {
    open(gate, limits)?;
    if load.sessions < limits.sessions { Ok(()) } else { Err(Denied::Sessions(limits.sessions)) }
}

/// Whether a connection without a session may run its first statement.
pub fn connection(gate: Gate, limits: Limits, load: Load) -> Result<(), Denied> {
    open(gate, limits)?;
    if load.connections < limits.connections {
        Ok(())
    } else {
        Err(Denied::Connections(limits.connections))
    }
}

/// What a session is to a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Begun by `CreateSession`: it goes on until it is destroyed.
    Explicit,
    /// A connection in a transaction: it goes on until the transaction ends.
    InTransaction,
    /// A connection between statements.
    Idle,
}

/// Whether a session that exists may run another statement.
pub fn statement(gate: Gate, standing: Standing) -> Result<(), Denied> {
    match (gate.phase, standing) {
        (Phase::Draining, Standing::Idle) => Err(Denied::Draining),
        _ => Ok(()),
    }
}

/// Whether nothing is left that a drain waits for.
pub fn is_drained(load: Load) -> bool {
    load.sessions == 0 && load.transactions == 0 && load.statements == 0
}

fn open(gate: Gate, limits: Limits) -> Result<(), Denied> {
    match (gate.phase, limits.before_activation) {
        (Phase::Draining, _) => Err(Denied::Draining),
        (Phase::Serving, BeforeActivation::Refuse) if !gate.activated => Err(Denied::NotActivated),
        (Phase::Serving, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { sessions: 1, connections: 2, before_activation: BeforeActivation::Refuse };
    const OPEN: Gate = Gate { phase: Phase::Serving, activated: true };
    const DRAINING: Gate = Gate { phase: Phase::Draining, activated: true };
    const NEW: Gate = Gate { phase: Phase::Serving, activated: false };

    fn load(sessions: usize, connections: usize) -> Load {
        Load { sessions, connections, ..Load::default() }
    }

    #[test]
    fn there_are_so_many_sessions_and_so_many_connections() {
        assert_eq!(session(OPEN, LIMITS, load(0, 2)), Ok(()));
        assert_eq!(session(OPEN, LIMITS, load(1, 0)), Err(Denied::Sessions(1)));
        assert_eq!(connection(OPEN, LIMITS, load(1, 1)), Ok(()));
        assert_eq!(connection(OPEN, LIMITS, load(0, 2)), Err(Denied::Connections(2)));
    }

    #[test]
    fn nobody_is_served_before_the_activation_unless_allowed() {
        assert_eq!(session(NEW, LIMITS, load(0, 0)), Err(Denied::NotActivated));
        assert_eq!(connection(NEW, LIMITS, load(0, 0)), Err(Denied::NotActivated));
        let allowed = Limits { before_activation: BeforeActivation::Allow, ..LIMITS };
        assert_eq!(connection(NEW, allowed, load(0, 0)), Ok(()));
    }

    #[test]
    fn a_draining_worker_finishes_what_it_has() {
        assert_eq!(session(DRAINING, LIMITS, load(0, 0)), Err(Denied::Draining));
        assert_eq!(connection(DRAINING, LIMITS, load(0, 0)), Err(Denied::Draining));
        assert_eq!(statement(DRAINING, Standing::Explicit), Ok(()));
        assert_eq!(statement(DRAINING, Standing::InTransaction), Ok(()));
        assert_eq!(statement(DRAINING, Standing::Idle), Err(Denied::Draining));
        assert_eq!(statement(OPEN, Standing::Idle), Ok(()));
    }

    #[test]
    fn a_drain_waits_for_sessions_transactions_and_statements_but_not_for_idle_connections() {
        assert!(is_drained(load(0, 5)));
        assert!(!is_drained(load(1, 0)));
        assert!(!is_drained(Load { transactions: 1, ..Load::default() }));
        assert!(!is_drained(Load { statements: 1, ..Load::default() }));
    }
}
