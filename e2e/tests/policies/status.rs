//! Who may write the status of a worker: every edge of the table, by everybody.

use anyhow::{Context as _, Result, ensure};
use duckworker_core::WorkerState;
use duckworker_core::edges::{Edge, edges};
use duckworker_core::table::TransitionName;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::actors::{Actor, Actors, bind, user};
use crate::cluster;
use crate::writes::{Change, create_in, put_status};

#[tokio::test]
async fn every_edge_is_open_to_whom_it_belongs() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("edges", async |ns| {
            let actors = &Actors::new(ns).await?;
            let cells =
                edges().into_iter().flat_map(|edge| actors.all().map(|actor| (edge, actor)));
            let tries = cells.map(|(edge, actor)| try_edge(actors, edge, actor));
            stream::iter(tries).buffer_unordered(4).try_collect::<Vec<()>>().await?;
            Ok(())
        })
        .await
}

async fn try_edge(actors: &Actors, edge: Edge, actor: &Actor) -> Result<()> {
    let owner = &actors.owner;
    let is_owner = actor.id == owner.id;
    if edge.by == TransitionName::Adopt && is_owner {
        return Ok(()); // A refresh, which has a row of its own.
    }
    let worker = create_in(&actors.admin.workers(), &owner.workers(), &owner.id, edge.from).await?;
    let takes = edge.epoch_rises && edge.by != TransitionName::RefreshLease;
    let change = Change {
        to: edge.to,
        step: i64::from(edge.epoch_rises),
        owner: if takes { &actor.id } else { &owner.id },
        by: &actor.id,
    };
    let pending = edge.to == WorkerState::Pending;
    let open = takes || is_owner || edge.to.is_terminal() || pending;
    match (open, change.make(&actor.workers(), &worker).await?) {
        (true, Err(refusal)) => anyhow::bail!("{edge:?} by {}: {refusal}", actor.id),
        (false, Ok(_)) => anyhow::bail!("{edge:?} by {} should be refused", actor.id),
        (false, Err(refusal)) => {
            let sentence = if edge.epoch_rises {
                "status.owner may only become your own identity"
            } else {
                "the worker belongs to owner."
            };
            ensure!(refusal.contains(sentence), "{edge:?} by {}: {refusal}", actor.id);
            Ok(())
        }
        (true, Ok(_)) => Ok(()),
    }
}

#[tokio::test]
async fn nobody_takes_a_name_that_is_not_his() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("names", async |ns| {
            let actors = Actors::new(ns).await?;
            let (owner, admin) = (&actors.owner, &actors.admin);
            let idle =
                create_in(&admin.workers(), &owner.workers(), &owner.id, WorkerState::Idle).await?;
            let foreign = [
                owner.id.clone(),
                format!("{}.two", actors.peer.id),
                "peer".to_owned(),
                "peer.00000000.one".to_owned(),
                "user:bob:one".to_owned(),
                format!("user:system:serviceaccount:{}:controller:one", ns.name),
            ];
            for name in foreign {
                let change = Change { to: WorkerState::Reserved, step: 1, owner: &name, by: &name };
                let verdict = change.make(&actors.peer.workers(), &idle).await?;
                let refusal = verdict.err().unwrap_or_default();
                ensure!(refusal.contains("may only become your own identity"), "{name}: {refusal}");
            }
            for name in ["user:bob:a:b", "user:bob:", "user:bob:a.b", "user:alice:one"] {
                let change = Change { to: WorkerState::Reserved, step: 1, owner: name, by: name };
                let verdict = change.make(&actors.person.workers(), &idle).await?;
                ensure!(verdict.is_err(), "{name}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn history_tells_who_did_it() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("history", async |ns| {
            let actors = Actors::new(ns).await?;
            let (owner, peer, admin) = (&actors.owner, &actors.peer, &actors.admin);
            let idle =
                create_in(&admin.workers(), &owner.workers(), &owner.id, WorkerState::Idle).await?;
            let retire =
                Change { to: WorkerState::Retired, step: 0, owner: &owner.id, by: &peer.id };
            let honest = retire.status(&idle)?;
            let forge = |path: &str, value: Value| -> Result<Value> {
                let mut forged = honest.clone();
                if let Some(place) = forged.pointer_mut(path) {
                    *place = value;
                }
                Ok(forged)
            };
            let newest_only = json!([honest["transitions"][0]]);
            let before = serde_json::to_value(&idle)?["status"]["transitions"].clone();
            for (status, sentence) in [
                (forge("/transitions/0/by", json!(owner.id))?, "must be who writes it"),
                (forge("/transitions/1/by", json!(peer.id))?, "before the newest four"),
                (forge("/transitions/0/epoch", json!(9))?, "before the newest four"),
                (forge("/transitions", newest_only)?, "before the newest four"),
                (forge("/transitions", before)?, "before the newest four"),
                (honest.clone(), ""),
            ] {
                let mut written = idle.clone();
                written.status = Some(serde_json::from_value(status)?);
                let verdict = put_status(&peer.workers(), &written).await?;
                let refusal = verdict.err().unwrap_or_default();
                ensure!(refusal.contains(sentence), "{sentence}: {refusal}");
                ensure!(refusal.is_empty() == sentence.is_empty(), "{sentence}: {refusal}");
            }
            Ok(())
        })
        .await
}

/// Who may `edit` what is in the namespace may write no status, whatever he says that he does.
#[tokio::test]
async fn no_edge_is_open_to_a_plain_user() -> Result<()> {
    let cluster = cluster().await?;
    cluster
        .with_namespace("plain", async |ns| {
            let actors = &Actors::new(ns).await?;
            bind(ns, "plain", "edit", "--user=alice").await?;
            let alice = &user(ns, "alice")?;
            let own = crate::writes::create(&alice.workers(), "hers").await?;
            let tries = edges().into_iter().map(|edge| refuse(actors, alice, edge));
            stream::iter(tries).buffer_unordered(4).try_collect::<Vec<()>>().await?;
            let change =
                Change { to: WorkerState::Spawning, step: 1, owner: &alice.id, by: &alice.id };
            is_refused(change.make(&alice.workers(), &own).await?.map(drop))
        })
        .await
}

/// As himself, and in the name of the owner.
async fn refuse(actors: &Actors, plain: &Actor, edge: Edge) -> Result<()> {
    let owner = &actors.owner;
    let worker = create_in(&actors.admin.workers(), &owner.workers(), &owner.id, edge.from).await?;
    for name in [&plain.id, &owner.id] {
        let change =
            Change { to: edge.to, step: i64::from(edge.epoch_rises), owner: name, by: name };
        let verdict = change.make(&plain.workers(), &worker).await?;
        is_refused(verdict.map(drop)).with_context(|| format!("{edge:?} as {name}"))?;
    }
    Ok(())
}

fn is_refused(verdict: Result<(), String>) -> Result<()> {
    let refusal = verdict.err().unwrap_or_default();
    ensure!(refusal.contains("cannot update resource \"duckworkers/status\""), "{refusal}");
    Ok(())
}
