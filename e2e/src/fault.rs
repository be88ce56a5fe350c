//! Ways to break a cluster that need more than one process.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{
    audit::AuditLog,
    cluster::Cluster,
    component::Component,
    identity::{Identity, Server},
    layout::Layout,
    parts::Parts,
    port::free_port,
    ready::await_api_server,
    spawner::spawn_tied,
};

/// Another API server on the etcd of a cluster. Paused, it shows an old state to its clients.
pub struct SecondApiServer {
    component: Component,
    server: Server,
    layout: Layout,
    audit: AuditLog,
}

impl SecondApiServer {
    /// Its process.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// An identity of the cluster, at this server.
    pub fn identity(&self, identity: &Identity) -> Result<Identity> {
        identity.at(&self.layout, &self.server)
    }

    /// The record of the requests that this server answered.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }
}

impl Cluster {
    /// Starts another API server on the same etcd, and waits until it is ready.
    pub async fn start_second_api_server(&self) -> Result<SecondApiServer> {
        let parts = Parts { duckcluster: &self.duckcluster, layout: &self.layout };
        let port = free_port()?;
        let name = format!("kube-apiserver-{port}");
        let place = self.place.beside(port);
        let component = parts.api_server(&name, place, &[]);
        component.start()?;
        let server = Server { url: format!("https://{}", place.address), ..self.server.clone() };
        let layout = self.layout.clone();
        let audit = AuditLog::new(parts.audit_log(&name));
        let second = SecondApiServer { component, server, layout, audit };
        let client = second.identity(self.user("admin")?)?.client()?;
        tokio::select! {
            ready = await_api_server(&client) => ready?,
            () = second.component.exited() => return Err(second.component.death()),
        }
        Ok(second)
    }

    /// Makes etcd forget all old versions: whoever reads from one of them is answered `410 Gone`,
    /// as soon as the API server has lost them as well (it keeps some; restart it).
    pub async fn compact_etcd(&self) -> Result<()> {
        let mut command = Command::new(&self.duckcluster);
        command.args(["compact", &self.layout.etcd_url()]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = move || anyhow::Ok(spawn_tied(command)?.wait_with_output()?);
        let output = tokio::task::spawn_blocking(run).await?.context("cannot run compact")?;
        if !output.status.success() {
            bail!("etcd was not compacted: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}
