//! The ways that are known: each is opened once, with one read of the worker's secret, and closed
//! when nobody has used it for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckworker_api::{labels, owned};
use duckworker_client::Connection;
use duckworker_core::{Uid, Worker};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::reach::{Failure, Pass, Way};

/// A way that nobody used for so long is closed: its worker is gone, or somebody else's.
const IDLE: Duration = Duration::from_mins(2);
/// How long the API server may take to show a secret.
const DEADLINE: Duration = Duration::from_secs(5);

/// Ways to workers. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Ways {
    connection: Connection,
    known: Arc<Mutex<HashMap<Uid, Known>>>,
}

struct Known {
    address: String,
    way: Way,
    used: Instant,
}

impl Ways {
    /// None is known yet.
    pub fn new(connection: Connection) -> Self {
        Self { connection, known: Arc::default() }
    }

    /// The way to a worker.
    ///
    /// # Errors
    /// [`Failure::NoWay`] when it has no address yet, or its secret cannot be read or used.
    pub async fn to(&self, worker: &Worker) -> Result<Way, Failure> {
        let address = address(worker)?;
        if let Some(way) = self.known_way(&worker.key.uid, &address) {
            return Ok(way);
        }
        let pass = self.pass(worker).await?;
        let way = Way::open(&address, &worker.key.server_name(), &pass)?;
        let known = Known { address, way: way.clone(), used: Instant::now() };
        self.lock().insert(worker.key.uid.clone(), known);
        Ok(way)
    }

    fn known_way(&self, uid: &Uid, address: &str) -> Option<Way> {
        let now = Instant::now();
        let mut known = self.lock();
        known.retain(|_, way| now - way.used < IDLE);
        let known = known.get_mut(uid).filter(|known| known.address == address)?;
        known.used = now;
        Some(known.way.clone())
    }

    async fn pass(&self, worker: &Worker) -> Result<Pass, Failure> {
        let key = &worker.key;
        let name = format!("{}{}", key.name, labels::SECRET_SUFFIX);
        let secrets: Api<Secret> = Api::namespaced(self.connection.client.clone(), &key.namespace);
        let no_way = |why: String| Failure::NoWay(format!("Secret {name}: {why}"));
        let secret = match timeout(DEADLINE, secrets.get(&name)).await {
            Ok(found) => found.map_err(|error| no_way(error.to_string()))?,
            Err(_) => return Err(no_way(format!("not read within {DEADLINE:?}"))),
        };
        if owned::secret_worker_uid(&secret) != Some(key.uid.as_str()) {
            return Err(no_way("it is not this worker's".to_owned()));
        }
        pass_in(secret).ok_or_else(|| no_way("token or certificate is missing".to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uid, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a worker listens: what is recorded, or its pod's address while it starts.
fn address(worker: &Worker) -> Result<String, Failure> {
    let recorded = worker.status.endpoint.clone();
    let ip = worker.status.pod.as_ref().and_then(|pod| pod.ip.as_deref());
    recorded
        .or_else(|| ip.map(|ip| worker.spec.connection.endpoint(ip)))
        .ok_or_else(|| Failure::NoWay("it has no address yet".to_owned()))
}

fn pass_in(mut secret: Secret) -> Option<Pass> {
    let data = secret.data.as_mut()?;
    let token = data.remove(labels::TOKEN_KEY)?.0;
    let certificate = data.remove(labels::CERTIFICATE_KEY)?.0;
    Some(Pass { certificate, token: Zeroizing::new(String::from_utf8(token).ok()?) })
}
