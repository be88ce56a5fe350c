//! Plays a script on a server, through kube's client, and notes every answer.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::object::{FINALIZER, content, dress, json_patch, merge, odd};
use crate::script::{Form, Oddity, Policy, Step, Uid, Version, What};
use crate::status;

/// One request and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What was asked, for people.
    pub request: String,
    /// Which kind was asked for.
    pub what: Option<What>,
    /// The code of the answer.
    pub code: u16,
    /// The body of the answer.
    pub answer: Value,
}

impl Line {
    /// Whether two servers gave the same answer. Requests hold what the server said before, so
    /// they differ in what is not compared.
    pub fn agrees(&self, other: &Self) -> bool {
        self.code == other.code && self.answer == other.answer
    }
}

/// The name of the object whose creation ends every watch.
const SENTINEL: &str = "zz-sentinel";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const JSON: &str = "application/json";
const NO_UID: &str = "00000000-0000-4000-8000-000000000000";

const SELECTORS: [&str; 8] = [
    "",
    "labelSelector=l%3Dx",
    "labelSelector=l%21%3Dx",
    "labelSelector=%21l",
    "labelSelector=l+in+%28x%2Cy%29",
    "labelSelector=l+notin+%28y%29",
    "fieldSelector=metadata.name%3Dn0",
    "fieldSelector=metadata.name%21%3Dn0",
];

/// Plays a whole script, then watches all that happened.
pub async fn play(client: &Client, namespace: &str, script: &[Step]) -> Result<Vec<Line>> {
    let mut player = Player {
        client: client.clone(),
        namespace: namespace.to_owned(),
        lines: Vec::new(),
        seen: BTreeMap::new(),
    };
    for step in script {
        player.step(step).await?;
    }
    player.watch_all().await?;
    Ok(player.lines)
}

struct Player {
    client: Client,
    namespace: String,
    lines: Vec<Line>,
    /// Every version of every object that was answered, oldest first.
    seen: BTreeMap<(What, String), Vec<Value>>,
}

impl Player {
    async fn step(&mut self, step: &Step) -> Result<()> {
        match step.clone() {
            Step::Create(what, name, form) => self.create(what, &named(name), form).await,
            Step::Put(what, name, version, uid, form) => {
                self.put(what, &named(name), version, uid, form).await
            }
            Step::Status(name, version, uid, change) => {
                let name = named(name);
                let newest = self.newest(What::Worker, &name).unwrap_or_default();
                let mut body = self.body(What::Worker, &name, version, uid);
                let status = status::next(&newest["status"], change);
                body["status"] = status;
                let path = format!("{}/status", self.object(What::Worker, &name));
                self.ask(What::Worker, Method::PUT, &path, JSON, Some(body)).await
            }
            Step::Merge(what, name, version, variant) => {
                self.merge(what, &named(name), version, variant).await
            }
            Step::Json(what, name, variant) => {
                let path = self.object(what, &named(name));
                let body = json_patch(what, variant);
                self.ask(what, Method::PATCH, &path, "application/json-patch+json", Some(body))
                    .await
            }
            Step::Delete(what, name, policy, version, uid, grace) => {
                let options = self.delete_options(what, &named(name), policy, version, uid, grace);
                let path = self.object(what, &named(name));
                self.ask(what, Method::DELETE, &path, JSON, Some(options)).await
            }
            Step::DeleteAll(what, label) => {
                let selector = if label.is_some() { SELECTORS[1] } else { "" };
                let path = format!("{}?{selector}", self.collection(what));
                self.ask(what, Method::DELETE, &path, JSON, None).await
            }
            Step::Get(what, name, metadata) => {
                let path = self.object(what, &named(name));
                self.read(what, &path, if metadata { METADATA } else { JSON }).await.map(drop)
            }
            Step::List(what, selector, limit, metadata) => {
                self.list(what, SELECTORS[usize::from(selector)], limit, metadata).await
            }
            Step::ListAt(what, back) => {
                let versions = self.versions(what);
                let index = versions.len().saturating_sub(usize::from(back) + 1);
                let Some(version) = versions.get(index) else { return Ok(()) };
                let query = format!("resourceVersion={version}&resourceVersionMatch=Exact");
                let path = format!("{}?{query}", self.collection(what));
                self.read(what, &path, JSON).await.map(drop)
            }
        }
    }

    async fn create(&mut self, what: What, name: &str, form: Form) -> Result<()> {
        let mut object = content(what, form.content);
        object["metadata"] = json!({ "name": name });
        dress(&mut object, form);
        odd(what, &mut object, form.oddity);
        if form.oddity == Oddity::OtherName {
            object["metadata"] =
                json!({ "generateName": format!("made-{:03}-", self.lines.len()) });
        }
        let path = self.collection(what);
        self.ask(what, Method::POST, &path, JSON, Some(object)).await
    }

    async fn put(
        &mut self,
        what: What,
        name: &str,
        version: Version,
        uid: Uid,
        form: Form,
    ) -> Result<()> {
        let head = self.body(what, name, version, uid);
        let mut object = self.newest(what, name).unwrap_or_else(|| content(what, form.content));
        // Pods have so many defaults that only those of the server may be put back.
        if what != What::Pod {
            merge(&mut object, &content(what, form.content));
        }
        for field in ["resourceVersion", "uid", "name"] {
            object["metadata"][field] = head["metadata"][field].clone();
        }
        dress(&mut object, form);
        odd(what, &mut object, form.oddity);
        let path = self.object(what, name);
        self.ask(what, Method::PUT, &path, JSON, Some(object)).await
    }

    async fn merge(&mut self, what: What, name: &str, version: Version, variant: u8) -> Result<()> {
        let mut body = match variant {
            0 => json!({ "metadata": { "labels": { "l": "x" } } }),
            1 => json!({ "metadata": { "labels": { "l": null } } }),
            2 => json!({ "metadata": { "finalizers": null } }),
            3 => json!({ "metadata": { "finalizers": [FINALIZER] } }),
            4 => json!({}),
            _ => json!({ "metadata": { "annotations": { "a": "b" } }, "status": { "phase": "x" } }),
        };
        let head = self.body(what, name, version, Uid::Missing);
        if let Some(version) = head["metadata"].get("resourceVersion") {
            body["metadata"]["resourceVersion"] = version.clone();
        }
        let path = self.object(what, name);
        self.ask(what, Method::PATCH, &path, "application/merge-patch+json", Some(body)).await
    }

    fn delete_options(
        &self,
        what: What,
        name: &str,
        policy: Policy,
        version: Version,
        uid: Uid,
        grace: Option<u8>,
    ) -> Value {
        let mut options = json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
        match policy {
            Policy::Default => {}
            Policy::Background => options["propagationPolicy"] = "Background".into(),
            Policy::Foreground => options["propagationPolicy"] = "Foreground".into(),
            Policy::Orphan => options["propagationPolicy"] = "Orphan".into(),
        }
        let head = self.body(what, name, version, uid);
        for field in ["uid", "resourceVersion"] {
            if let Some(value) = head["metadata"].get(field) {
                options["preconditions"][field] = value.clone();
            }
        }
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = grace.into();
        }
        options
    }

    async fn list(
        &mut self,
        what: What,
        selector: &str,
        limit: Option<u8>,
        metadata: bool,
    ) -> Result<()> {
        let accept = if metadata { METADATA_LIST } else { JSON };
        let limit = limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
        let mut next = String::new();
        loop {
            let path = format!("{}?{selector}{limit}{next}", self.collection(what));
            let page = self.read(what, &path, accept).await?;
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={token}"),
                None => return Ok(()),
            }
        }
    }

    /// Watches each kind from its first version and from one in the middle, up to the sentinel.
    async fn watch_all(&mut self) -> Result<()> {
        for what in What::ALL {
            let versions = self.versions(what);
            let Some(first) = versions.first().cloned() else { continue };
            let middle = versions[versions.len() / 2].clone();
            let form =
                Form { content: 0, label: Some(true), finalizer: false, oddity: Oddity::Nothing };
            self.create(what, SENTINEL, form).await?;
            for (query, accept) in [
                (format!("resourceVersion={first}"), JSON),
                (format!("resourceVersion={first}&{}", SELECTORS[1]), JSON),
                (format!("resourceVersion={middle}&{}", SELECTORS[5]), METADATA),
                (format!("resourceVersion={middle}&{}", SELECTORS[7]), JSON),
            ] {
                self.watch(what, &query, accept).await?;
            }
        }
        Ok(())
    }

    async fn watch(&mut self, what: What, query: &str, accept: &str) -> Result<()> {
        let path = format!("{}?watch=true&timeoutSeconds=20&{query}", self.collection(what));
        let request = Request::get(&path).header("accept", accept).body(Vec::new())?;
        let mut lines = self.client.request_stream(request).await?.lines();
        while let Some(line) = lines.try_next().await? {
            let event: Value = serde_json::from_str(&line)?;
            let last = event["object"]["metadata"]["name"] == SENTINEL || event["type"] == "ERROR";
            self.note(what, format!("event of {path}"), 200, event);
            if last {
                return Ok(());
            }
        }
        anyhow::bail!("the watch {path} ended before the sentinel")
    }

    /// The head of a body: which object, in which version.
    fn body(&self, what: What, name: &str, version: Version, uid: Uid) -> Value {
        let (api_version, kind, _) = what.api();
        let mut body = json!({
            "apiVersion": api_version, "kind": kind, "metadata": { "name": name }
        });
        let seen = self.seen.get(&(what, name.to_owned())).map(Vec::as_slice).unwrap_or_default();
        let back = |back: usize| seen.iter().rev().nth(back).or_else(|| seen.first());
        let version_of = |object: Option<&Value>| {
            object
                .map_or_else(|| json!("1"), |object| object["metadata"]["resourceVersion"].clone())
        };
        match version {
            Version::Newest => body["metadata"]["resourceVersion"] = version_of(back(0)),
            Version::Stale => body["metadata"]["resourceVersion"] = version_of(back(1)),
            Version::Missing => {}
        }
        match uid {
            Uid::Right => {
                let newest = back(0).map(|object| object["metadata"]["uid"].clone());
                body["metadata"]["uid"] = newest.unwrap_or_else(|| NO_UID.into());
            }
            Uid::Wrong => body["metadata"]["uid"] = NO_UID.into(),
            Uid::Missing => {}
        }
        body
    }

    fn newest(&self, what: What, name: &str) -> Option<Value> {
        self.seen.get(&(what, name.to_owned()))?.last().cloned()
    }

    /// Every version of a kind that was seen, in the order of its making.
    fn versions(&self, what: What) -> Vec<String> {
        let seen = self.seen.iter().filter(|((kind, _), _)| *kind == what);
        let versions = seen.flat_map(|(_, objects)| objects);
        let mut versions: Vec<u64> = versions
            .filter_map(|object| object["metadata"]["resourceVersion"].as_str()?.parse().ok())
            .collect();
        versions.sort_unstable();
        versions.dedup();
        versions.into_iter().map(|version| version.to_string()).collect()
    }

    fn collection(&self, what: What) -> String {
        let (api_version, _, plural) = what.api();
        let root =
            if api_version == "v1" { "/api/v1".into() } else { format!("/apis/{api_version}") };
        format!("{root}/namespaces/{}/{plural}", self.namespace)
    }

    fn object(&self, what: What, name: &str) -> String {
        format!("{}/{name}", self.collection(what))
    }

    async fn read(&mut self, what: What, path: &str, accept: &str) -> Result<Value> {
        let request = Request::get(path).header("accept", accept).body(Body::empty())?;
        self.send(what, format!("GET {path} as {accept}"), request).await
    }

    async fn ask(
        &mut self,
        what: What,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<Value>,
    ) -> Result<()> {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let told = format!("{method} {path} {content_type} {text}");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(Body::from(text.into_bytes()))?;
        let answer = self.send(what, told, request).await?;
        self.remember(what, &answer);
        Ok(())
    }

    async fn send(&mut self, what: What, told: String, request: Request<Body>) -> Result<Value> {
        let response = self.client.send(request).await?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("{told}: {}", String::from_utf8_lossy(&bytes)))?;
        self.note(what, told, code, answer.clone());
        Ok(answer)
    }

    fn note(&mut self, what: What, request: String, code: u16, answer: Value) {
        self.lines.push(Line { request, what: Some(what), code, answer });
    }

    fn remember(&mut self, what: What, answer: &Value) {
        if answer["kind"] != what.api().1 {
            return;
        }
        if let Some(name) = answer["metadata"]["name"].as_str() {
            self.seen.entry((what, name.to_owned())).or_default().push(answer.clone());
        }
    }
}

fn named(number: u8) -> String {
    format!("n{number}")
}
