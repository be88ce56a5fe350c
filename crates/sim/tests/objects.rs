//! Creates, replacements, patches and lists.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use duckworker_api::{DuckTenant, DuckWorker, DuckWorkerClaim, DuckWorkerPool, samples};
use duckworker_sim::{Latency, SimCluster, simulate};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde_json::json;

/// The rules of each kind are evaluated here, too: one in a syntax that the simulator lacks would
/// refuse every object.
#[test]
fn an_object_of_each_of_our_kinds_is_taken() {
    simulate(1, |cluster| async move {
        let (client, params) = (client(&cluster), PostParams::default());
        let workers: Api<DuckWorker> = Api::namespaced(client.clone(), NS);
        workers.create(&params, &samples::worker()).await.unwrap();
        let pools: Api<DuckWorkerPool> = Api::namespaced(client.clone(), NS);
        pools.create(&params, &samples::pool()).await.unwrap();
        let claims: Api<DuckWorkerClaim> = Api::namespaced(client.clone(), NS);
        claims.create(&params, &samples::claim()).await.unwrap();
        let tenants: Api<DuckTenant> = Api::namespaced(client, NS);
        tenants.create(&params, &samples::tenant()).await.unwrap();
    })
    .unwrap();
}

#[test]
fn versions_fence_replacements() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        let first = create(&api, config_map("a")).await.unwrap();
        assert!(first.uid().is_some() && first.creation_timestamp().is_some());
        assert_eq!(
            code_and_reason(create(&api, config_map("a")).await),
            (409, "AlreadyExists".into())
        );
        let mut second = first.clone();
        second.data = Some([("k".into(), "w".into())].into());
        let second = api.replace("a", &PostParams::default(), &second).await.unwrap();
        assert_ne!(second.resource_version(), first.resource_version());
        let stale = api.replace("a", &PostParams::default(), &first).await;
        assert_eq!(code_and_reason(stale), (409, "Conflict".into()));
        // The same again changes nothing, not even the version.
        let third = api.replace("a", &PostParams::default(), &second).await.unwrap();
        assert_eq!(third.resource_version(), second.resource_version());
        // A ConfigMap needs no version.
        let mut bare = first.clone();
        bare.meta_mut().resource_version = None;
        api.replace("a", &PostParams::default(), &bare).await.unwrap();
        bare.meta_mut().name = Some("b".into());
        let absent = api.replace("b", &PostParams::default(), &bare).await;
        assert_eq!(code_and_reason(absent), (404, "NotFound".into()));
    })
    .unwrap();
}

#[test]
fn leases_need_a_version_and_may_be_made_by_put() {
    simulate(1, |cluster| async move {
        let api: Api<Lease> = Api::namespaced(client(&cluster), NS);
        let lease: Lease = serde_json::from_value(json!({ "metadata": { "name": "l" } })).unwrap();
        api.replace("l", &PostParams::default(), &lease).await.unwrap();
        let blind = api.replace("l", &PostParams::default(), &lease).await;
        assert_eq!(code_and_reason(blind), (422, "Invalid".into()));
    })
    .unwrap();
}

#[test]
fn names_are_made_and_checked() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        let made = create(&api, json!({ "metadata": { "generateName": "x-" } })).await.unwrap();
        assert_eq!(made.name_any().len(), 7);
        assert_eq!(code_and_reason(create(&api, json!({ "metadata": {} })).await).0, 422);
        assert_eq!(code_and_reason(create(&api, config_map("Bad_Name")).await).0, 422);
        let elsewhere: Api<ConfigMap> = Api::namespaced(client(&cluster), "nowhere");
        let lost = refusal(create(&elsewhere, config_map("a")).await);
        assert_eq!((lost.code, lost.message.as_str()), (404, "namespaces \"nowhere\" not found"));
    })
    .unwrap();
}

#[test]
fn patches_merge_and_test() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        let object = create(&api, config_map("a")).await.unwrap();
        let params = PatchParams::default();
        let merge = Patch::Merge(json!({ "data": { "k": null, "n": "1" } }));
        let merged = api.patch("a", &params, &merge).await.unwrap();
        assert_eq!(merged.data.unwrap(), [("n".to_owned(), "1".to_owned())].into());
        let again = api.patch("a", &params, &merge).await.unwrap();
        assert_eq!(again.metadata.resource_version, merged.metadata.resource_version);
        let stale = json!({ "metadata": { "resourceVersion": object.resource_version() } });
        assert_eq!(code_and_reason(api.patch("a", &params, &Patch::Merge(stale)).await).0, 409);
        let patch =
            |value: serde_json::Value| Patch::<()>::Json(serde_json::from_value(value).unwrap());
        let good = patch(json!([
            { "op": "test", "path": "/data/n", "value": "1" },
            { "op": "replace", "path": "/data/n", "value": "2" }
        ]));
        let patched = api.patch("a", &params, &good).await.unwrap();
        assert_eq!(patched.data.unwrap()["n"], "2");
        assert_eq!(code_and_reason(api.patch("a", &params, &good).await), (422, "Invalid".into()));
        let merge = Patch::Merge(json!({}));
        assert_eq!(code_and_reason(api.patch("no", &params, &merge).await).0, 404);
    })
    .unwrap();
}

#[test]
fn immutable_secrets_stay() {
    simulate(1, |cluster| async move {
        let api = secrets(&cluster);
        let secret = json!({
            "metadata": { "name": "s" }, "immutable": true, "stringData": { "token": "abc" }
        });
        let stored = create(&api, secret).await.unwrap();
        assert_eq!(stored.data.as_ref().unwrap()["token"].0, b"abc");
        let change = Patch::Merge(json!({ "data": { "token": "eHl6" } }));
        let refused = api.patch("s", &PatchParams::default(), &change).await;
        assert_eq!(code_and_reason(refused).0, 422);
        let label = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
        api.patch("s", &PatchParams::default(), &label).await.unwrap();
    })
    .unwrap();
}

#[test]
fn lists_have_pages_and_selectors() {
    simulate(1, |cluster| async move {
        let api = config_maps(&cluster);
        for number in 0..5 {
            let mut object = config_map(&format!("c{number}"));
            object["metadata"]["labels"] = json!({ "odd": (number % 2 == 1).to_string() });
            create(&api, object).await.unwrap();
        }
        let odd = api.list(&ListParams::default().labels("odd=true")).await.unwrap();
        assert_eq!(odd.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c1", "c3"]);
        let one = api.list(&ListParams::default().fields("metadata.name=c2")).await.unwrap();
        assert_eq!(one.items.len(), 1);
        let first = api.list(&ListParams::default().limit(2)).await.unwrap();
        assert_eq!(first.metadata.remaining_item_count, Some(3));
        // The next pages show the same revision, whatever happens in between.
        api.delete("c2", &DeleteParams::default()).await.unwrap();
        let token = first.metadata.continue_.unwrap();
        let rest = api.list(&ListParams::default().limit(9).continue_token(&token)).await.unwrap();
        let names: Vec<_> = rest.items.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["c2", "c3", "c4"]);
        assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
        cluster.compact();
        let late = api.list(&ListParams::default().continue_token(&token)).await;
        assert_eq!(code_and_reason(late), (410, "Expired".into()));
    })
    .unwrap();
}

#[test]
fn metadata_can_be_had_alone() {
    simulate(1, |cluster| async move {
        let none = secrets(&cluster).list_metadata(&ListParams::default()).await.unwrap();
        assert!(none.items.is_empty());
        create(
            &secrets(&cluster),
            json!({ "metadata": { "name": "s" }, "stringData": { "t": "x" } }),
        )
        .await
        .unwrap();
        let api: Api<Secret> = secrets(&cluster);
        let one = api.get_metadata("s").await.unwrap();
        assert_eq!(one.name_any(), "s");
        let list = api.list_metadata(&ListParams::default()).await.unwrap();
        assert_eq!(list.items.len(), 1);
        assert_eq!(list.types.kind, "PartialObjectMetadataList");
    })
    .unwrap();
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let run = |seed| {
        simulate(seed, |cluster: SimCluster| async move {
            cluster.start();
            cluster.set_latency(Latency::default());
            let api = pods(&cluster);
            for name in ["a", "b", "c"] {
                create(&api, pod(name)).await.unwrap();
            }
            tokio::time::sleep(seconds(10)).await;
            api.delete("b", &DeleteParams::default()).await.unwrap();
            tokio::time::sleep(seconds(60)).await;
            let history = cluster.history();
            history
                .iter()
                .map(|v| format!("{} {:?} {}", v.at, v.change, v.object))
                .collect::<Vec<_>>()
        })
        .unwrap()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
