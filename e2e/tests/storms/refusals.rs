//! Every call is refused, by a layer under the controllers' clients: on the shared cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use duckworker_client::Connection;
use duckworker_e2e::scenario::scenario;
use duckworker_faults::{Fault, Faults, Refusal};

use crate::ground::{live_through, storm_time};

/// A storm of refusals under both controllers' clients, on the shared cluster.
async fn of_refusals(name: &str, refusal: Refusal) -> Result<()> {
    scenario(name, async |ns| {
        let blows = Arc::new(AtomicBool::new(false));
        let client = || {
            let blows = Arc::clone(&blows);
            let faults = Faults::by(move |_, _: &_| {
                blows.load(Ordering::SeqCst).then_some(Fault::Refuse(refusal))
            });
            Connection::with_layer(ns.cluster.config()?, &faults.layer())
                .map_err(anyhow::Error::from)
        };
        let connections = [client()?, client()?];
        live_through(name, ns, connections, async || {
            blows.store(true, Ordering::SeqCst);
            tokio::time::sleep(storm_time()?).await;
            blows.store(false, Ordering::SeqCst);
            Ok(())
        })
        .await
        .map(drop)
    })
    .await
}

#[tokio::test]
async fn every_call_is_throttled() -> Result<()> {
    of_refusals("throttled-429", Refusal::TooManyRequests { retry_after: 1 }).await
}

#[tokio::test]
async fn the_token_is_not_taken() -> Result<()> {
    of_refusals("unauthorized-401", Refusal::Unauthorized).await
}

#[tokio::test]
async fn the_rights_are_taken_away_and_given_back() -> Result<()> {
    of_refusals("forbidden-403", Refusal::Forbidden).await
}

#[tokio::test]
async fn nothing_but_errors_comes_back() -> Result<()> {
    of_refusals("unavailable-503", Refusal::Unavailable).await
}
