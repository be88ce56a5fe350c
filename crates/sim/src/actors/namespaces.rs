//! The namespace controller: empties a namespace that is being deleted, pods first.

use std::sync::Arc;

use super::{PAUSE, target};
use crate::chance::Chance;
use crate::core::Core;
use crate::meta;
use crate::store::{Key, Stamp};
use crate::verbs::{DeleteOptions, Server};

const NAME: &str = "system:serviceaccount:kube-system:namespace-controller";

/// Works for ever.
pub async fn run(core: Arc<Core>, mut chance: Chance) {
    let mut moved = core.moved.subscribe();
    loop {
        moved.mark_unchanged();
        for namespace in core.step(|server| going(server)) {
            let mut left = core.step(|server| content(server, &namespace));
            while !left.is_empty() {
                tokio::time::sleep(chance.between(PAUSE)).await;
                let (collection, key) = left.swap_remove(chance.index(left.len()));
                let Some(target) = target(&core, &collection, &key, NAME) else {
                    continue;
                };
                // Whatever is refused is found again at the next round.
                drop(core.step(|server| server.delete(&target, &DeleteOptions::default())));
            }
            core.step(|server| finish(server, &namespace));
        }
        if moved.changed().await.is_err() {
            return;
        }
    }
}

/// The namespaces that are being deleted.
fn going(server: &Server) -> Vec<String> {
    let all = server.store.list("namespaces", None);
    let going = all.into_iter().filter(|(_, namespace)| meta::is_deleting(namespace));
    going.map(|((_, name), _)| name).collect()
}

/// What is to be deleted now: pods while there are any, then all else that does not go already.
fn content(server: &Server, namespace: &str) -> Vec<(Arc<str>, Key)> {
    let inside = server.store.iter().filter(|(_, key, _)| key.0 == namespace);
    let mut all: Vec<_> = inside.collect();
    if all.iter().any(|(collection, _, _)| &***collection == "pods") {
        all.retain(|(collection, _, _)| &***collection == "pods");
    }
    let todo = all.into_iter().filter(|(_, _, object)| !meta::is_deleting(object));
    todo.map(|(collection, key, _)| (Arc::clone(collection), key.clone())).collect()
}

/// Removes an empty namespace.
fn finish(server: &mut Server, namespace: &str) {
    if server.store.iter().all(|(_, key, _)| key.0 != namespace) {
        let stamp = Stamp { by: NAME.into(), at: server.clock.now() };
        server.store.remove("namespaces", &(String::new(), namespace.to_owned()), stamp);
    }
}
