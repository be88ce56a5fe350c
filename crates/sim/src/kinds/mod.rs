//! The kinds of objects that the server knows, and how they differ.

mod builtin;
mod custom;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub use custom::NoSuchSchema;

use crate::admission::CustomSchema;

/// One kind.
#[derive(Debug)]
pub struct Kind {
    /// The API group; empty for the core one.
    pub group: String,
    /// The version.
    pub version: String,
    /// `pods`.
    pub plural: String,
    /// `Pod`.
    pub kind: String,
    /// Its objects live in namespaces.
    pub namespaced: bool,
    /// How the server treats it.
    pub rules: Rules,
    /// Reads an object as its Rust type and writes it again: drops what the type does not know.
    /// None for custom resources, whose schema does that.
    pub retype: Option<Retype>,
    /// The fields beside name and namespace that field selectors may name.
    pub selectable: Vec<String>,
    /// The schema and the rules of a custom resource.
    pub schema: Option<CustomSchema>,
}

/// Reads an object as some type and writes it again.
pub type Retype = fn(serde_json::Value) -> Result<serde_json::Value, serde_json::Error>;

/// How the server treats a kind. The defaults are those of a custom resource without a status.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are what they are: independent switches")]
pub struct Rules {
    /// A PUT of an object that is not there creates it.
    pub create_on_update: bool,
    /// A PUT needs no resourceVersion.
    pub unconditional_update: bool,
    /// It has a status subresource.
    pub status: bool,
    /// `metadata.generation` counts the versions of its spec.
    pub generation: bool,
    /// DELETE sets a deadline, and somebody else removes the object.
    pub graceful: bool,
    /// A DELETE that removes it answers with the object, not with a Status.
    pub returns_deleted: bool,
}

impl Kind {
    /// `duckworkers.duckworker.dev`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `DuckWorker.duckworker.dev`.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }

    /// `duckworker.dev/v1alpha1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// It comes from a CRD.
    pub const fn is_custom(&self) -> bool {
        self.schema.is_some()
    }
}

/// Every kind that a server knows, by group and plural. Costly to make, cheap to share.
#[derive(Debug, Default)]
pub struct Kinds {
    all: BTreeMap<(String, String), Arc<Kind>>,
}

impl Kinds {
    /// The built-in kinds alone.
    pub fn builtin() -> Self {
        let mut kinds = Self::default();
        for kind in builtin::all() {
            kinds.insert(kind);
        }
        kinds
    }

    /// The built-in kinds and all of `duckworker.dev`. Made once a process.
    pub fn duckworker() -> Arc<Self> {
        static ALL: LazyLock<Arc<Kinds>> = LazyLock::new(|| {
            let mut kinds = Kinds::builtin();
            for crd in custom::ours() {
                // A CRD of ours without a schema is caught by the tests of this module.
                if let Ok(kind) = custom::kind(&crd) {
                    kinds.insert(kind);
                }
            }
            Arc::new(kinds)
        });
        Arc::clone(&ALL)
    }

    /// Adds a custom resource, given as the JSON of a `CustomResourceDefinition`.
    ///
    /// # Errors
    /// When it has no served version with a schema.
    pub fn add_crd(&mut self, crd: &serde_json::Value) -> Result<(), NoSuchSchema> {
        self.insert(custom::kind(crd)?);
        Ok(())
    }

    /// The kind of a group and a plural.
    pub fn get(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.all.get(&(group.to_owned(), plural.to_owned()))
    }

    /// The kind of an `apiVersion` and a `kind`, as owner references name it.
    pub fn named(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.all.values().find(|k| k.kind == kind && k.api_version() == api_version)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.all.values()
    }

    fn insert(&mut self, kind: Kind) {
        self.all.insert((kind.group.clone(), kind.plural.clone()), Arc::new(kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_kinds_are_known() {
        let kinds = Kinds::duckworker();
        let worker = kinds.get("duckworker.dev", "duckworkers").unwrap();
        assert!(worker.is_custom() && worker.rules.status && worker.namespaced);
        assert_eq!(worker.qualified_kind(), "DuckWorker.duckworker.dev");
        assert!(kinds.named("v1", "Pod").is_some());
        assert_eq!(custom::ours().len(), kinds.iter().filter(|kind| kind.is_custom()).count());
    }
}
