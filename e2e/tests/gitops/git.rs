//! Somebody who applies manifests by server-side apply, as Argo CD does, and looks at what he finds.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context as _, Result};
use duckworker_e2e::TestNamespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

/// The field manager of Argo CD.
const MANAGER: &str = "argocd";
/// What Argo CD puts on objects of its own: on others it would make it delete them.
pub const TRACKING: (&str, &str) = ("argocd.argoproj.io/tracking-id", "app.kubernetes.io/instance");

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub applies: usize,
    /// Somebody else had a field of the manifest.
    pub conflicts: usize,
    /// An apply of what was there already was a change, or a field was not as the manifest has it.
    pub diffs: usize,
    /// Fields of a spec are owned by somebody else as well.
    pub foreign: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { applies, conflicts, diffs, foreign } = self;
        write!(
            f,
            "applies: {applies}, conflicts: {conflicts}, diffs: {diffs}, \
             foreign spec fields: {foreign}"
        )
    }
}

/// An object as its first apply left it: its generation, and what the manager owns since when.
type First = (Option<i64>, Option<ManagedFieldsEntry>);

/// Applies manifests, and knows what the first apply of each object made.
pub struct Git<'a> {
    ns: &'a TestNamespace<'a>,
    first: HashMap<String, First>,
    pub tally: Tally,
}

impl<'a> Git<'a> {
    pub fn new(ns: &'a TestNamespace<'a>) -> Self {
        Self { ns, first: HashMap::new(), tally: Tally::default() }
    }

    /// Applies a manifest, without force.
    pub async fn apply(&mut self, manifest: &Value) -> Result<Option<DynamicObject>> {
        let name = manifest["metadata"]["name"].as_str().context("a name")?;
        let params = PatchParams::apply(MANAGER);
        let applied = api(self.ns, manifest)?.patch(name, &params, &Patch::Apply(manifest)).await;
        self.tally.applies += 1;
        match applied {
            Ok(object) => {
                self.look_at(manifest, &object)?;
                Ok(Some(object))
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                eprintln!("conflict: {}", status.message);
                self.tally.conflicts += 1;
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("cannot apply {manifest}")),
        }
    }

    fn look_at(&mut self, manifest: &Value, object: &DynamicObject) -> Result<()> {
        let owned = owned_by(object, |manager| manager == MANAGER).next().cloned();
        let now = (object.metadata.generation, owned);
        let uid = object.uid().context("a uid")?;
        let first = self.first.entry(uid).or_insert_with(|| now.clone());
        let live = serde_json::to_value(object)?;
        if *first != now || !holds(&live["spec"], &manifest["spec"]) {
            eprintln!("diff of {}: {first:?} became {now:?}", object.name_any());
            self.tally.diffs += 1;
        }
        let others = owned_by(object, |manager| manager != MANAGER);
        let foreign = others.filter(|entry| {
            entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:spec").is_some())
        });
        for entry in foreign {
            eprintln!("a field of the spec of {} is owned by {entry:?}", object.name_any());
            self.tally.foreign += 1;
        }
        Ok(())
    }
}

/// The objects of a manifest's kind.
pub fn api(ns: &TestNamespace<'_>, manifest: &Value) -> Result<Api<DynamicObject>> {
    let kind = manifest["kind"].as_str().context("a kind")?;
    let resource = ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(
        "duckworker.dev",
        "v1alpha1",
        kind,
    ));
    Ok(Api::namespaced_with(ns.client.clone(), &ns.name, &resource))
}

fn owned_by(
    object: &DynamicObject,
    by: impl Fn(&str) -> bool,
) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let entries = object.managed_fields().iter();
    entries.filter(move |entry| by(entry.manager.as_deref().unwrap_or_default()))
}

/// Whether all that a manifest says stands in a live object.
fn holds(live: &Value, manifest: &Value) -> bool {
    match (live, manifest) {
        (Value::Object(live), Value::Object(manifest)) => manifest
            .iter()
            .all(|(key, wanted)| live.get(key).is_some_and(|live| holds(live, wanted))),
        (Value::Array(live), Value::Array(manifest)) => {
            live.len() == manifest.len()
                && live.iter().zip(manifest).all(|(live, wanted)| holds(live, wanted))
        }
        _ => live == manifest,
    }
}
