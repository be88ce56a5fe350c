//! One case on the API server: created, changed, and each time refused or carried out.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::StreamExt as _;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Error, ResourceExt as _};
use serde_json::{Value, json};

use super::bystanders::Bystanders;
use super::cases::{Case, Must, NAME};
use super::kind::Kind;
use super::verdict::{flaw, is_carried_out};
use crate::{PATIENCE, TestNamespace};

/// How long a controller may take over a spec: a pool rolls, pods are created again.
const LIMIT: Duration = PATIENCE;

/// What came of a case that broke no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The API server refused the object or one of its changes.
    Refused,
    /// It was carried out, with all changes.
    CarriedOut,
}

/// A case that was played: what came of it, and what it left.
#[derive(Debug)]
pub struct Played {
    /// Which.
    pub case: Case,
    /// How it ended; or what is wrong.
    pub end: Result<End, String>,
    /// What stands in the namespace because of it.
    pub left: Vec<(Kind, String)>,
}

/// What the API server says to a request.
enum Answer {
    Done(Value),
    Refused { code: u16, message: String },
}

/// Plays a case under this name.
pub async fn play(
    ns: &TestNamespace<'_>,
    bystanders: &Bystanders,
    case: Case,
    name: &str,
) -> Played {
    let mut left = Vec::new();
    let end = match tried(ns, bystanders, &case, name, &mut left).await {
        Ok(end) => end,
        Err(error) => Err(format!("{error:#}")),
    };
    Played { case, end, left }
}

async fn tried(
    ns: &TestNamespace<'_>,
    bystanders: &Bystanders,
    case: &Case,
    name: &str,
    left: &mut Vec<(Kind, String)>,
) -> Result<Result<End, String>> {
    let words = [(NAME, name)].into_iter().chain(bystanders.words()).collect::<Vec<_>>();
    let (object, patches) = case.named(&words);
    let created = match create(ns, case.kind, &object).await? {
        Answer::Done(created) => created,
        Answer::Refused { code, message } => {
            // A rule that binds several fields may speak of another one.
            let around = if case.must == Must::Refuse { "" } else { "spec." };
            let flaw = flaw(code, &message, &case.field, around);
            let unfair = matches!(case.must, Must::Accept | Must::AcceptOrCollect)
                .then(|| format!("it was refused: {message}"));
            return Ok(flaw.or(unfair).map_or(Ok(End::Refused), Err));
        }
    };
    let name = created["metadata"]["name"].as_str().context("it got no name")?.to_owned();
    left.push((case.kind, name.clone()));
    if case.must == Must::Refuse {
        return Ok(Err("it was accepted".to_owned()));
    }
    let collected = case.must == Must::AcceptOrCollect;
    if !settled(ns, case.kind, &name, collected).await? {
        return Ok(Ok(End::CarriedOut));
    }
    for patch in patches {
        match change(ns, case.kind, &name, &patch).await? {
            Answer::Done(_) => {}
            Answer::Refused { code: 404, .. } if collected => return Ok(Ok(End::CarriedOut)),
            Answer::Refused { code, message } => {
                let flaw = flaw(code, &message, &case.field, "spec");
                return Ok(flaw.map_or(Ok(End::Refused), Err));
            }
        }
        if !settled(ns, case.kind, &name, collected).await? {
            return Ok(Ok(End::CarriedOut));
        }
    }
    if let Some(user) = case.kind.user(&name).filter(|_| name.len() < 64) {
        let user_name = user["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let claim = Kind::DuckWorkerClaim;
        if let Answer::Done(_) = create(ns, claim, &user).await? {
            left.push((claim, user_name.clone()));
            settled(ns, claim, &user_name, false).await.context("who uses it")?;
        }
    }
    Ok(Ok(End::CarriedOut))
}

/// Waits until an object is carried out. False: the garbage collector took it.
async fn settled(
    ns: &TestNamespace<'_>,
    kind: Kind,
    name: &str,
    may_be_collected: bool,
) -> Result<bool> {
    let mut last = Value::Null;
    let watched = async {
        let mut versions = watch_object(kind.api(ns), name).default_backoff().boxed();
        while let Some(version) = versions.next().await {
            match version {
                Ok(Some(object)) => {
                    last = serde_json::to_value(&object)?;
                    let goes = object.metadata.deletion_timestamp.is_some();
                    if is_carried_out(kind, &last) && !goes {
                        return Ok(true);
                    }
                }
                Ok(None) if may_be_collected => return Ok(false),
                Ok(None) => return Err(anyhow!("it vanished")),
                Err(_) => {}
            }
        }
        Err(anyhow!("its watch ended"))
    };
    let seen = tokio::time::timeout(LIMIT, watched).await;
    seen.unwrap_or_else(|_| {
        let (seconds, status) = (LIMIT.as_secs(), &last["status"]);
        let generation = &last["metadata"]["generation"];
        Err(anyhow!("not carried out after {seconds} s at generation {generation}: {status}"))
    })
}

/// Creates an object as kubectl does: a field that nobody knows is refused.
async fn create(ns: &TestNamespace<'_>, kind: Kind, object: &Value) -> Result<Answer> {
    let url = format!("{}?fieldValidation=Strict", path(ns, kind));
    let request = http::Request::post(url).header("Content-Type", "application/json");
    send(&ns.client, request.body(serde_json::to_vec(object)?)?).await
}

async fn change(ns: &TestNamespace<'_>, kind: Kind, name: &str, patch: &Value) -> Result<Answer> {
    let url = format!("{}/{name}?fieldValidation=Strict", path(ns, kind));
    let request = http::Request::patch(url).header("Content-Type", "application/merge-patch+json");
    send(&ns.client, request.body(serde_json::to_vec(patch)?)?).await
}

async fn send(client: &Client, request: http::Request<Vec<u8>>) -> Result<Answer> {
    match client.request::<Value>(request).await {
        Ok(object) => Ok(Answer::Done(object)),
        Err(Error::Api(status)) => {
            Ok(Answer::Refused { code: status.code, message: status.message.clone() })
        }
        Err(error) => Err(error).context("the API server gave no answer"),
    }
}

fn path(ns: &TestNamespace<'_>, kind: Kind) -> String {
    kind.api(ns).resource_url().to_owned()
}

/// Deletes an object, and takes away what others have put on it to keep it: nobody would do so
/// here. Our own finalizer is left to our controller.
pub async fn delete(ns: &TestNamespace<'_>, kind: Kind, name: &str) -> Result<()> {
    let api = kind.api(ns);
    let ours = (kind == Kind::DuckWorker).then_some(duckworker_api::labels::FINALIZER);
    match api.delete(name, &kube::api::DeleteParams::background()).await {
        Ok(_) => {}
        Err(Error::Api(status)) if status.is_not_found() => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot delete {kind} {name}")),
    }
    release(&api, name, ours).await
}

/// Removes the finalizers that are not this one.
async fn release(api: &Api<DynamicObject>, name: &str, ours: Option<&str>) -> Result<()> {
    loop {
        let Some(mut object) = api.get_opt(name).await? else { return Ok(()) };
        let before = object.finalizers().len();
        object.finalizers_mut().retain(|finalizer| Some(finalizer.as_str()) == ours);
        if object.finalizers().len() == before {
            return Ok(());
        }
        match api.replace(name, &PostParams::default(), &object).await {
            Ok(_) => return Ok(()),
            // Somebody wrote it meanwhile: look again. That somebody got further.
            Err(Error::Api(status)) if status.is_conflict() => {}
            Err(Error::Api(status)) if status.is_not_found() => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot release {name}")),
        }
    }
}

/// Waits until none of these is there any more.
pub async fn gone(ns: &TestNamespace<'_>, kind: Kind, name: &str) -> Result<()> {
    let mut last = Value::Null;
    let watched = async {
        let mut versions = watch_object(kind.api(ns), name).default_backoff().boxed();
        while let Some(version) = versions.next().await {
            match version {
                Ok(None) => return Ok(()),
                Ok(Some(object)) => {
                    last = json!({ "metadata": object.metadata, "data": object.data });
                }
                Err(_) => {}
            }
        }
        Err(anyhow!("its watch ended"))
    };
    let seen = tokio::time::timeout(LIMIT, watched).await;
    seen.unwrap_or_else(|_| Err(anyhow!("it is not gone after {} s: {last}", LIMIT.as_secs())))
}
