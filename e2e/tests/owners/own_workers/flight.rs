//! What a controller says to workers that speak Flight, to a process that is not ours: it needs nothing
//! but the names that duckgres's workers know.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use duckworker_api::DuckWorker;
use duckworker_client::Connection;
use duckworker_e2e::TestNamespace;
use duckworker_e2e::in_process::{InProcess, quick_settings};
use duckworker_e2e::scenario::{scenario, status};
use duckworker_e2e::worker::{self, is, state};
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::{Value, json};

use super::stub::{Diary, Events, Heard, Stub};
use super::{EXPIRES, activation_secret, declare_tenant, members};

const PORT: u16 = 18816;

fn speaking_flight(name: &str) -> Value {
    let mut worker = worker::dedicated(name, "acme");
    worker["spec"]["connection"] = json!({
        "protocol": "Flight", "port": PORT, "tokenEnv": "DUCKGRES_DUCKDB_TOKEN", "tlsDir": "/certs",
    });
    worker["spec"]["healthCheck"] = json!({ "periodSeconds": 1, "timeoutSeconds": 1 });
    worker
}

/// What the pod of a worker is to listen at and to show: its address, and its secret.
async fn outfit(ns: &TestNamespace<'_>, name: &str) -> Result<(SocketAddr, Secret)> {
    let ip = |pod: &Pod| Some(pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok());
    let pod: Pod = ns.await_object(name, "with an address", |pod| ip(pod).is_some()).await?;
    let ip = ip(&pod).flatten().context("an address")?;
    let secret = ns.api::<Secret>().get(&format!("{name}-rpc")).await?;
    Ok((SocketAddr::new(ip, PORT), secret))
}

fn bytes<'a>(secret: &'a Secret, key: &str) -> Result<&'a [u8]> {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    data.map(|bytes| bytes.0.as_slice()).with_context(|| format!("no {key}"))
}

fn start(ns: &TestNamespace<'_>) -> Result<InProcess> {
    Ok(InProcess::start(quick_settings(&ns.name)?, Connection::new(ns.cluster.config()?)?))
}

#[tokio::test]
async fn a_worker_that_knows_only_duckgres_s_names_is_checked_and_activated() -> Result<()> {
    scenario("flight-stub", async |ns| {
        let _controller = start(ns)?;
        declare_tenant(ns).await?;
        ns.create::<Secret>(activation_secret("one", EXPIRES)).await?;
        ns.create::<DuckWorker>(speaking_flight("w")).await?;
        let (address, secret) = outfit(ns, "w").await?;
        let diary = Diary::default();
        let identity = (bytes(&secret, "tls.crt")?, bytes(&secret, "tls.key")?);
        let _stub = Stub::serve(address, identity, diary.clone()).await?;
        let hot = ns.await_object::<DuckWorker>("w", "Hot", is("Hot")).await?;

        let status = status(&hot)?;
        let uid = hot.metadata.uid.as_deref().context("a uid")?;
        let owner = status.owner.as_deref().context("an owner")?;
        let mut expected: BTreeMap<String, Value> =
            members("one").into_iter().map(|(name, value)| (name, value.into())).collect();
        expected.extend([
            ("worker_id".to_owned(), json!(uid)),
            ("owner_epoch".to_owned(), json!(status.owner_epoch)),
            ("cp_instance_id".to_owned(), json!(owner)),
            ("org_id".to_owned(), json!("acme")),
        ]);
        let checked = |events: &Events| events.of("HealthCheck").len() >= 3;
        let events = diary.await_until("three health checks", checked).await?;
        let activations = events.of("ActivateTenant");
        let bodies: Vec<_> = activations.iter().map(|heard| &heard.body).collect();
        ensure!(bodies == [&json!(expected)], "{bodies:?}");
        ensure!(events.of("HealthCheck").iter().all(|heard| heard.body == json!({})));
        let token = format!("Bearer {}", std::str::from_utf8(bytes(&secret, "bearer-token")?)?);
        let told = |heard: &Heard| heard.authorization.as_deref() == Some(&token);
        ensure!(events.heard.iter().all(told), "somebody did not tell the token");
        ensure!(events.connections == 1, "{} connections", events.connections);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_with_another_certificate_hears_nothing_and_serves_nobody() -> Result<()> {
    scenario("flight-foreign", async |ns| {
        let _controller = start(ns)?;
        ns.create::<DuckWorker>(speaking_flight("w")).await?;
        let (address, secret) = outfit(ns, "w").await?;
        let name = format!("w.{}.duckworker", ns.name);
        let foreign = rcgen::generate_simple_self_signed([name])?;
        let (certificate, key) = (foreign.cert.pem(), foreign.signing_key.serialize_pem());
        let diary = Diary::default();
        let identity = (certificate.as_bytes(), key.as_bytes());
        let impostor = Stub::serve(address, identity, diary.clone()).await?;
        let met = |events: &Events| events.connections >= 2;
        let events = diary.await_until("two connections", met).await?;
        ensure!(events.heard.is_empty(), "it was told the token");
        let worker = ns.api::<DuckWorker>().get("w").await?;
        ensure!(state(&worker) == "Spawning", "{}", state(&worker));

        impostor.stop().await;
        let identity = (bytes(&secret, "tls.crt")?, bytes(&secret, "tls.key")?);
        let _stub = Stub::serve(address, identity, diary.clone()).await?;
        ns.await_object::<DuckWorker>("w", "Hot", is("Hot")).await.map(drop)
    })
    .await
}
