//! The worker's state. Its lock is never held while the engine works, so that the health check
//! answers whatever the engine does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Status;

use super::desk::{Desk, Origin};
use super::peer::Peer;
use super::status;
use super::token::random_name;
use crate::engine::session::Patience;
use crate::engine::{Cause, Instance, Session};
use crate::rules::activation::{Assignment, Identity, Offer, Phase, Step};
use crate::rules::admission::{self, Denied, Gate, Limits, Load};
use crate::rules::bodies::{ActivateTenant, Health, Secret};

/// How often a drain looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// What the worker was told when it was started.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The names by which its owner knows it.
    pub identity: Identity,
    /// How much it takes at a time.
    pub limits: Limits,
    /// How long statements may take.
    pub patience: Patience,
    /// How long a result waits to be fetched.
    pub unclaimed: Duration,
}

/// What a call wants of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// To run a statement.
    Begin,
    /// To fetch, cancel or close what it has begun.
    Finish,
}

/// The worker.
pub struct Hub {
    instance: Arc<Instance>,
    terms: Terms,
    state: Mutex<State>,
    /// One activation at a time.
    activating: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    assignment: Assignment,
    sessions: HashMap<String, Arc<Desk>>,
    connections: HashMap<u64, Arc<Desk>>,
}

impl State {
    fn admit(&self, desk: &Desk, intent: Intent) -> Result<(), Denied> {
        match intent {
            Intent::Begin => admission::statement(self.gate(), desk.standing()),
            Intent::Finish => Ok(()),
        }
    }

    fn gate(&self) -> Gate {
        Gate { phase: self.phase, activated: self.assignment.is_active() }
    }

    fn load(&self) -> Load {
        let desks = || self.sessions.values().chain(self.connections.values());
        let in_transaction = |desk: &&Arc<Desk>| desk.session.is_in_transaction();
        Load {
            sessions: self.sessions.len(),
            connections: self.connections.len(),
            transactions: self.connections.values().filter(in_transaction).count(),
            statements: desks().map(|desk| desk.session.statements()).sum(),
        }
    }
}

impl Hub {
    /// A worker that serves.
    pub fn new(instance: Arc<Instance>, terms: Terms) -> Arc<Self> {
        let (state, activating) = (Mutex::default(), tokio::sync::Mutex::default());
        Arc::new(Self { instance, terms, state, activating })
    }

    /// Its engine.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// How long a result waits to be fetched.
    pub fn unclaimed(&self) -> Duration {
        self.terms.unclaimed
    }

    /// How it is. Asks nobody.
    pub fn health(&self) -> Health {
        let broken = self.instance.is_broken();
        let state = self.lock();
        let load = state.load();
        Health {
            healthy: !broken,
            draining: state.phase == Phase::Draining,
            sessions: load.sessions,
            active_queries: load.statements,
            instance_invalidated: broken,
            connections: load.connections,
            activated: state.assignment.is_active(),
            owner_epoch: state.assignment.highest_epoch(),
            probe_age_ms: millis(self.instance.answer_age()),
            uptime_seconds: self.instance.uptime().as_secs(),
            engine_version: self.instance.version().to_owned(),
        }
    }

    /// Activates it for a tenant, or hands it to a later owner.
    pub async fn activate(&self, body: ActivateTenant) -> Result<(), Status> {
        let offer = Offer::of(&body);
        let turn = self.activating.lock().await;
        let step = {
            let mut state = self.lock();
            let phase = state.phase;
            state.assignment.begin(&offer, &self.terms.identity, phase)
        };
        let step = step.map_err(|refusal| {
            tracing::warn!(epoch = offer.epoch, %refusal, "refused an activation");
            status::of_refusal(&refusal)
        })?;
        let Step::Run(indexes) = step else { return Ok(()) };
        let result = self.run(&body, &indexes).await;
        let mut state = self.lock();
        if result.is_ok() {
            state.assignment.finish(&offer);
            let (tenant, epoch) = (&offer.tenant, offer.epoch);
            tracing::info!(%tenant, epoch, statements = indexes.len(), "activated");
        } else {
            state.assignment.fail(&offer);
        }
        drop((state, turn));
        result
    }

    async fn run(&self, body: &ActivateTenant, indexes: &[usize]) -> Result<(), Status> {
        let statements =
            indexes.iter().filter_map(|index| Some((*index, body.statements.get(*index)?)));
        let statements: Vec<(usize, Secret)> =
            statements.map(|(index, statement)| (index, statement.clone())).collect();
        let instance = Arc::clone(&self.instance);
        let ran = tokio::task::spawn_blocking(move || instance.activate(&statements)).await;
        let ran = ran.map_err(|_| Status::internal("the activation ended without a result"))?;
        ran.map_err(|failed| {
            let (number, kind) = (failed.number, failed.failure.name());
            let of = body.statements.len();
            tracing::warn!(number, of, kind, "an activation statement failed");
            Status::failed_precondition(format!(
                "the activation statement {number} of {of} failed ({kind})"
            ))
        })
    }

    /// Begins a session; its token.
    pub async fn create_session(&self) -> Result<String, Status> {
        let limits = self.terms.limits;
        let check = |state: &State| admission::session(state.gate(), limits, state.load());
        check(&self.lock()).map_err(status::of_denied)?;
        let desk = self.open(Origin::Action).await?;
        let token = random_name();
        let mut state = self.lock();
        // Another may have come first meanwhile.
        check(&state).map_err(status::of_denied)?;
        state.sessions.insert(token.clone(), desk);
        Ok(token)
    }

    /// Ends a session. Whether there was such a one.
    pub fn destroy_session(&self, token: &str) -> bool {
        let ended = self.lock().sessions.remove(token);
        ended.map(|desk| desk.end(Cause::SessionEnded)).is_some()
    }

    /// The session of this token, to do this with it.
    pub fn session(&self, token: &str, intent: Intent) -> Result<Arc<Desk>, Status> {
        let state = self.lock();
        let desk = state.sessions.get(token).cloned().ok_or_else(|| {
            Status::not_found("there is no such session; it ended, or its token is wrong")
        })?;
        state.admit(&desk, intent).map_err(status::of_denied)?;
        Ok(desk)
    }

    /// The session of a connection, begun if need be, to do this with it.
    pub async fn connection(&self, peer: &Peer, intent: Intent) -> Result<Arc<Desk>, Status> {
        let limits = self.terms.limits;
        let find = |state: &State| match state.connections.get(&peer.number()) {
            Some(desk) => state.admit(desk, intent).map(|()| Some(Arc::clone(desk))),
            None => admission::connection(state.gate(), limits, state.load()).map(|()| None),
        };
        if let Some(desk) = find(&self.lock()).map_err(status::of_denied)? {
            return Ok(desk);
        }
        let desk = self.open(Origin::Connection).await?;
        let mut state = self.lock();
        // Another call over the same connection, or another connection, may have come first.
        if let Some(first) = find(&state).map_err(status::of_denied)? {
            return Ok(first);
        }
        state.connections.insert(peer.number(), Arc::clone(&desk));
        Ok(desk)
    }

    /// A connection was closed: what its client began on it ends.
    pub fn disconnected(&self, number: u64) {
        let ended = self.lock().connections.remove(&number);
        if let Some(desk) = ended {
            desk.end(Cause::Client);
        }
    }

    /// Begins nothing new from now on.
    pub fn drain(&self) {
        self.lock().phase = Phase::Draining;
    }

    /// What it is doing.
    pub fn load(&self) -> Load {
        self.lock().load()
    }

    /// Waits until nothing is left that a drain waits for.
    pub async fn drained(&self) {
        while !admission::is_drained(self.load()) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends everything.
    pub fn end_all(&self) {
        let desks: Vec<_> = {
            let mut state = self.lock();
            let sessions: Vec<_> = state.sessions.drain().map(|(_, desk)| desk).collect();
            sessions.into_iter().chain(state.connections.drain().map(|(_, desk)| desk)).collect()
        };
        for desk in desks {
            desk.end(Cause::ShuttingDown);
        }
    }

    async fn open(&self, origin: Origin) -> Result<Arc<Desk>, Status> {
        let (instance, patience) = (Arc::clone(&self.instance), self.terms.patience);
        let session = tokio::task::spawn_blocking(move || Session::open(&instance, patience)).await;
        let session = session.map_err(|_| Status::internal("no connection to the engine"))?;
        Ok(Desk::new(session.map_err(|error| status::of_engine(&error))?, origin))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
