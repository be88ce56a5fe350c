//! Watches, raw and under kube-runtime.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use duckworker_faults::{Fault, Faults, Verb};
use duckworker_sim::{SimCluster, User, simulate};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action;
use kube::runtime::watcher::Event;
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Resource, ResourceExt};
use serde_json::json;

async fn label(api: &Api<ConfigMap>, name: &str, value: &str) {
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "l": value } } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

fn told(event: &WatchEvent<ConfigMap>) -> String {
    match event {
        WatchEvent::Added(object) => format!("+{}", object.name_any()),
        WatchEvent::Modified(object) => format!("~{}", object.name_any()),
        WatchEvent::Deleted(object) => format!("-{}", object.name_any()),
        WatchEvent::Bookmark(_) => "bookmark".to_owned(),
        WatchEvent::Error(status) => status.code.to_string(),
    }
}

async fn watch(api: &Api<ConfigMap>, params: WatchParams, version: &str) -> Vec<String> {
    let events = api.watch(&params.timeout(50), version).await.unwrap();
    let events = events.map_ok(|event| told(&event)).map_err(|error| error.to_string());
    events.map(|event| event.unwrap_or_else(|error| error)).collect().await
}

#[test]
fn a_watch_resumes_where_it_was() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        let first = create(&api, config_map("a")).await.unwrap();
        create(&api, config_map("b")).await.unwrap();
        label(&api, "a", "x").await;
        api.delete("b", &DeleteParams::default()).await.unwrap();
        let version = first.resource_version().unwrap();
        let all = watch(&api, WatchParams::default(), &version).await;
        assert_eq!(all, ["+b", "~a", "-b", "bookmark"]);
        let selected = watch(&api, WatchParams::default().labels("l=x"), &version).await;
        assert_eq!(selected, ["+a", "bookmark"]);
        label(&api, "a", "y").await;
        let left = watch(&api, WatchParams::default().labels("l=x"), &version).await;
        assert_eq!(left, ["+a", "-a", "bookmark"]);
        let from_now = watch(&api, WatchParams::default(), "0").await;
        assert_eq!(from_now, ["+a", "bookmark"]);
        let streamed = watch(&api, WatchParams::default().initial_events(), "0").await;
        assert_eq!(streamed, ["+a", "bookmark", "bookmark"]);
        cluster.compact();
        assert_eq!(watch(&api, WatchParams::default(), &version).await, ["410"]);
    })
    .unwrap();
}

type Seen = Arc<Mutex<Vec<String>>>;

/// Follows config maps with a reflector and tells its events.
fn follow(cluster: &SimCluster, faults: &Faults) -> (reflector::Store<ConfigMap>, Seen) {
    let client = cluster.client(User::named("watcher"), faults);
    let (store, writer) = reflector::store();
    let seen = Seen::default();
    let events = watcher(Api::<ConfigMap>::all(client), watcher::Config::default())
        .default_backoff()
        .reflect(writer);
    let log = Arc::clone(&seen);
    tokio::spawn(events.for_each(move |event| {
        let line = match event {
            Ok(Event::Apply(object)) => format!("apply {}", object.name_any()),
            Ok(Event::Delete(object)) => format!("delete {}", object.name_any()),
            Ok(Event::Init) => "init".to_owned(),
            Ok(Event::InitApply(object)) => format!("has {}", object.name_any()),
            Ok(Event::InitDone) => "done".to_owned(),
            Err(_) => "error".to_owned(),
        };
        log.lock().unwrap().push(line);
        futures::future::ready(())
    }));
    (store, seen)
}

fn take(seen: &Seen) -> Vec<String> {
    std::mem::take(&mut *seen.lock().unwrap())
}

#[test]
fn a_reflector_follows_through_outages_and_compaction() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        create(&api, config_map("a")).await.unwrap();
        let (store, seen) = follow(&cluster, &Faults::none());
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(take(&seen), ["init", "has a", "done"]);
        create(&api, config_map("b")).await.unwrap();
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(take(&seen), ["apply b"]);
        cluster.hold_watches("configmaps");
        create(&api, config_map("c")).await.unwrap();
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(store.state().len(), 2);
        cluster.free_watches();
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(store.state().len(), 3);
        take(&seen);
        cluster.hold_watches("configmaps");
        api.delete("b", &DeleteParams::default()).await.unwrap();
        cluster.compact();
        cluster.free_watches();
        tokio::time::sleep(seconds(30)).await;
        assert_eq!(take(&seen), ["error", "init", "has a", "has c", "done"]);
        cluster.set_down(true);
        tokio::time::sleep(seconds(30)).await;
        cluster.set_down(false);
        tokio::time::sleep(seconds(60)).await;
        create(&api, config_map("d")).await.unwrap();
        tokio::time::sleep(seconds(30)).await;
        assert_eq!(store.state().len(), 3);
    })
    .unwrap();
}

#[test]
fn a_mute_watch_is_noticed_in_the_end() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        let mute =
            Faults::at(1, Fault::MuteStream(seconds(1))).counting(|call| call.verb == Verb::Watch);
        let (store, _) = follow(&cluster, &mute);
        tokio::time::sleep(seconds(5)).await;
        create(&api, config_map("a")).await.unwrap();
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(store.state().len(), 0);
        tokio::time::sleep(seconds(300)).await;
        assert_eq!(store.state().len(), 1);
    })
    .unwrap();
}

#[test]
fn metadata_is_watched_alone() {
    simulate(1, |cluster| async move {
        let api: Api<Secret> = secrets(&cluster);
        let metadata: Api<PartialObjectMeta<Secret>> = Api::all(client(&cluster));
        let mut events = watcher(metadata, watcher::Config::default()).applied_objects().boxed();
        create(&api, json!({ "metadata": { "name": "s" } })).await.unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().name_any(), "s");
        create(&api, json!({ "metadata": { "name": "t" } })).await.unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().name_any(), "t");
    })
    .unwrap();
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed(#[from] kube::Error);

/// Gives each config map a secret of its name.
async fn reconcile(object: Arc<ConfigMap>, client: Arc<kube::Client>) -> Result<Action, Failed> {
    let api: Api<Secret> = Api::namespaced(kube::Client::clone(&client), NS);
    let secret = json!({
        "metadata": { "name": object.name_any(), "ownerReferences": [object.controller_owner_ref(&())] }
    });
    match create(&api, secret).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        other => drop(other?),
    }
    Ok(Action::await_change())
}

#[test]
fn a_controller_runs_on_it() {
    simulate(1, |cluster| async move {
        cluster.start();
        // Every fifth call of the controller goes wrong somehow.
        let faults = Faults::chance(5, 0.2, Fault::survivable(seconds(1)));
        let client = cluster.client(User::named("controller"), &faults);
        let controller =
            Controller::new(Api::<ConfigMap>::all(client.clone()), watcher::Config::default())
                .owns(Api::<Secret>::all(client.clone()), watcher::Config::default());
        let retry =
            |_: Arc<ConfigMap>, _: &Failed, _: Arc<kube::Client>| Action::requeue(seconds(1));
        tokio::spawn(controller.run(reconcile, retry, Arc::new(client)).for_each(|_| async {}));
        let api = config_maps(&cluster);
        for name in ["a", "b", "c"] {
            create(&api, config_map(name)).await.unwrap();
        }
        tokio::time::sleep(seconds(600)).await;
        faults.heal();
        tokio::time::sleep(seconds(600)).await;
        assert_eq!(cluster.objects("secrets").len(), 3);
        api.delete("b", &DeleteParams::default()).await.unwrap();
        tokio::time::sleep(seconds(600)).await;
        assert_eq!(cluster.objects("secrets").len(), 2);
    })
    .unwrap();
}
