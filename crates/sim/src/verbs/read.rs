//! GET, LIST with pages, and the beginning of a WATCH.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Reply, Server};
use crate::failure::Failure;
use crate::request::Request;
use crate::select::Selection;
use crate::store::Key;
use crate::watch::Subscription;

/// How long a watch lasts if the client does not say.
const WATCH_TIME: Duration = Duration::from_mins(30);

impl Server {
    pub(super) fn get(&self, request: &Request) -> Result<Reply, Failure> {
        self.reached(request.param("resourceVersion"))?;
        let target = Self::target(request);
        match self.store.get(&request.kind.qualified(), &target.key) {
            Some(entry) => Ok(Reply::Json(200, request.view.show(&entry.object))),
            None => Err(Failure::not_found(&request.kind, &request.name)),
        }
    }

    pub(super) fn list(&self, request: &Request) -> Result<Reply, Failure> {
        let selection = request.selection()?;
        let (revision, after) = self.place(request)?;
        let collection = request.kind.qualified();
        let all = self.store.list_at(&collection, request.namespace.as_deref(), revision);
        let rest = all.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|past| key > past));
        let rest: Vec<(Key, Arc<Value>)> = rest.collect();
        let limit = request.param("limit").parse::<usize>().ok().filter(|limit| *limit > 0);
        let (page, left) = page(&rest, &selection, limit.unwrap_or(usize::MAX));
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if let (1.., Some((last, _))) = (left, page.last()) {
            metadata["continue"] = token(revision, last).into();
            if selection.is_all() {
                metadata["remainingItemCount"] = left.into();
            }
        }
        let items: Vec<Arc<Value>> = page.into_iter().map(|(_, object)| object).collect();
        Ok(Reply::Json(200, request.view.list(&request.kind, &items, &metadata)))
    }

    /// The revision that a list shows, and the object after which it begins.
    fn place(&self, request: &Request) -> Result<(u64, Option<Key>), Failure> {
        let continued = request.param("continue");
        if !continued.is_empty() {
            let (revision, after) = parse_token(continued).ok_or_else(|| {
                Failure::bad_request("continue key is not valid: cannot be decoded")
            })?;
            if revision < self.store.compacted() {
                return Err(Failure::expired(
                    "The provided continue parameter is too old to display a consistent list \
                     result.",
                ));
            }
            return Ok((revision, Some(after)));
        }
        let wanted = self.reached(request.param("resourceVersion"))?;
        let exact = match request.param("resourceVersionMatch") {
            "Exact" => true,
            "" => !request.param("limit").is_empty(),
            _ => false,
        };
        if !exact || wanted == 0 {
            return Ok((self.store.revision(), None));
        }
        if wanted < self.store.compacted() {
            return Err(Failure::expired(format!(
                "The resourceVersion for the provided list is too old: {wanted}"
            )));
        }
        Ok((wanted, None))
    }

    pub(super) fn watch(&self, request: &Request) -> Result<Reply, Failure> {
        let selection = request.selection()?;
        let version = request.param("resourceVersion");
        let from = self.reached(version)?;
        let initial = request.flag("sendInitialEvents") || from == 0;
        let first = if initial && request.param("sendInitialEvents") != "false" {
            self.store.list(&request.kind.qualified(), request.namespace.as_deref())
        } else {
            Vec::new()
        };
        let first = first.into_iter().map(|(_, object)| object);
        let seconds = request.param("timeoutSeconds").parse().ok().filter(|seconds| *seconds > 0);
        Ok(Reply::Watch(Box::new(Subscription {
            kind: Arc::clone(&request.kind),
            collection: request.kind.qualified(),
            namespace: request.namespace.clone(),
            initial: first.filter(|object| selection.selects(object)).collect(),
            marks_initial_end: request.flag("sendInitialEvents"),
            selection,
            view: request.view,
            bookmarks: request.flag("allowWatchBookmarks"),
            seen: if initial { self.store.revision() } else { from },
            time: seconds.map_or(WATCH_TIME, Duration::from_secs),
        })))
    }

    /// Parses a version that a client wants to be reached: zero for any.
    fn reached(&self, version: &str) -> Result<u64, Failure> {
        if version.is_empty() {
            return Ok(0);
        }
        let wanted: u64 = version.parse().map_err(|_| {
            Failure::bad_request(format!("Invalid value: {version:?}: resourceVersion"))
        })?;
        if wanted > self.store.revision() {
            return Err(Failure::too_large_version(wanted, self.store.revision()));
        }
        Ok(wanted)
    }
}

/// The first of the selected objects, and how many objects are left after them. There is a next
/// page as soon as any object is left, selected or not: the server has not looked at it yet.
fn page(
    rest: &[(Key, Arc<Value>)],
    selection: &Selection,
    limit: usize,
) -> (Vec<(Key, Arc<Value>)>, usize) {
    let mut page = Vec::new();
    for (index, (key, object)) in rest.iter().enumerate() {
        if page.len() == limit && !selection.names_one() {
            return (page, rest.len() - index);
        }
        if selection.selects(object) {
            page.push((key.clone(), Arc::clone(object)));
        }
    }
    (page, 0)
}

fn token(revision: u64, (namespace, name): &Key) -> String {
    let start = json!({
        "v": "meta.k8s.io/v1", "rv": revision, "namespace": namespace, "start": name
    });
    URL_SAFE_NO_PAD.encode(start.to_string())
}

fn parse_token(token: &str) -> Option<(u64, Key)> {
    let start: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let text = |field: &str| Some(start[field].as_str()?.to_owned());
    Some((start["rv"].as_u64()?, (text("namespace")?, text("start")?)))
}
