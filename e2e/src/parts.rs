//! How each part of the cluster is started: one function with the flags of each.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::{Path, PathBuf},
};

use crate::{component::Component, identity::Identity, layout::Layout, real::Network};

/// Built-in clients may ask as often as they like: their default limits (20 requests a second)
/// make a start take five seconds longer, and a burst of pods a minute.
const UNLIMITED: [&str; 2] = ["--kube-api-qps=5000", "--kube-api-burst=5000"];

/// Addresses of Services in a cluster whose nodes are all simulated.
const LOOPBACK_SERVICES: &str = "127.200.0.0/16";

/// Makes the parts of one cluster, none of them started yet.
pub(crate) struct Parts<'a> {
    pub(crate) duckcluster: &'a Path,
    pub(crate) layout: &'a Layout,
}

/// Where an API server is to be found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) address: SocketAddrV4,
    network: Option<Network>,
}

impl Place {
    /// On the loopback interface: nobody but this machine can ask it.
    pub(crate) fn loopback(port: u16) -> Self {
        Self { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), network: None }
    }

    /// On the link to a real node: nobody but this machine and that node can ask it.
    pub(crate) fn linked(network: Network) -> Self {
        let address = SocketAddrV4::new(network.machine(), Network::PORT);
        Self { address, network: Some(network) }
    }

    /// Another server of the same cluster, on the loopback interface.
    pub(crate) fn beside(self, port: u16) -> Self {
        Self { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), ..self }
    }

    fn services(self) -> String {
        self.network.map_or_else(|| LOOPBACK_SERVICES.to_owned(), Network::services)
    }
}

impl Parts<'_> {
    pub(crate) fn etcd(&self) -> Component {
        let peers = format!("unix://{}", self.layout.path("peers.sock").display());
        // A store of one member is never called by peers, but must say where they would call.
        let nowhere = "http://127.0.0.1:1";
        self.part("etcd", "etcd").args([
            format!("--data-dir={}", self.layout.path("etcd").display()),
            format!("--listen-client-urls={}", self.layout.etcd_url()),
            format!("--advertise-client-urls={nowhere}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={nowhere}"),
            format!("--initial-cluster=default={nowhere}"),
            // Nothing here has to survive the loss of power.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ])
    }

    /// An API server; `name` tells several on the same etcd apart.
    pub(crate) fn api_server(
        &self,
        name: &str,
        place: Place,
        further_flags: &[String],
    ) -> Component {
        let file = |name| self.layout.path(name).display().to_string();
        self.part(name, "kube-apiserver")
            // Small clusters have small heaps, which Go would collect dozens of times a second: a
            // third of all of the server's time, and half of it near the limit. Benches come near.
            .env("GOGC", "400")
            .env("GOMEMLIMIT", "8GiB")
            .args([
                format!("--etcd-servers={}", self.layout.etcd_url()),
                format!("--bind-address={}", place.address.ip()),
                format!("--advertise-address={}", place.address.ip()),
                format!("--secure-port={}", place.address.port()),
                format!("--tls-cert-file={}", file("tls.crt")),
                format!("--tls-private-key-file={}", file("tls.key")),
                // The address above may be a loopback one, which an EndpointSlice refuses.
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--service-cluster-ip-range={}", place.services()),
                // To a kubelet it shows the certificate that it has.
                format!("--kubelet-client-certificate={}", file("tls.crt")),
                format!("--kubelet-client-key={}", file("tls.key")),
                "--kubelet-preferred-address-types=InternalIP".to_owned(),
                "--authorization-mode=Node,RBAC".to_owned(),
                "--enable-admission-plugins=NodeRestriction".to_owned(),
                format!("--token-auth-file={}", file("users.csv")),
                "--service-account-issuer=https://duckworker.invalid".to_owned(),
                format!("--service-account-key-file={}", file("service-accounts.pub")),
                format!("--service-account-signing-key-file={}", file("service-accounts.key")),
                format!("--audit-policy-file={}", file("audit-policy.yaml")),
                format!("--audit-log-path={}", self.audit_log(name).display()),
                // An event is written before the request is done, and never dropped.
                "--audit-log-mode=blocking-strict".to_owned(),
                // In megabytes: the log must not be rotated while a test reads it.
                "--audit-log-maxsize=100000".to_owned(),
            ])
            .args(further_flags)
    }

    pub(crate) fn controller_manager(&self, identity: &Identity) -> Component {
        let file = |name| self.layout.path(name).display().to_string();
        let key = file("service-accounts.key");
        self.client_part("kube-controller-manager", identity).args(UNLIMITED).args([
            "--use-service-account-credentials".to_owned(),
            format!("--service-account-private-key-file={key}"),
            format!("--root-ca-file={}", self.layout.certificate().display()),
            "--concurrent-gc-syncs=20".to_owned(),
            "--concurrent-namespace-syncs=20".to_owned(),
        ])
    }

    pub(crate) fn scheduler(&self, identity: &Identity) -> Component {
        self.client_part("kube-scheduler", identity).args(UNLIMITED)
    }

    pub(crate) fn kwok(&self, identity: &Identity, config: &Path) -> Component {
        self.part("kwok", "kwok").args([
            format!("--kubeconfig={}", identity.kubeconfig().display()),
            format!("--config={}", config.display()),
        ])
    }

    /// The audit log of an API server.
    pub(crate) fn audit_log(&self, api_server: &str) -> PathBuf {
        self.layout.path(&format!("{api_server}-audit.log"))
    }

    /// A part that needs no leader election, as there is one of it, and no port of its own.
    fn client_part(&self, part: &str, identity: &Identity) -> Component {
        self.part(part, part).args([
            format!("--kubeconfig={}", identity.kubeconfig().display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ])
    }

    pub(crate) fn part(&self, name: &str, part: &str) -> Component {
        Component::new(name, self.duckcluster, self.layout.log(name)).args([part])
    }
}
