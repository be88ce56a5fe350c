//! The addresses of a cluster with a real node.
//!
//! They lie in 198.18.0.0/15, which is set aside for tests of networks and used by nobody else.
//! The machine's end of the link has the address that Kubernetes gives to the Service
//! `kubernetes`, so pods find the API server as in any cluster, and nothing has to translate
//! addresses. Other Services have addresses but lead nowhere: there is no kube-proxy.

use std::{net::Ipv4Addr, path::Path};

/// The network of one cluster, told from those of others by a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    number: u8,
}

impl Network {
    /// The port of the Service `kubernetes`, on which the API server listens.
    pub(crate) const PORT: u16 = 443;

    /// A network that no running cluster uses at this moment.
    pub(super) fn unused() -> Self {
        loop {
            let network = Self { number: rand::random_range(1..=254) };
            if !Path::new("/sys/class/net").join(network.link()).exists() {
                return network;
            }
        }
    }

    /// The name of the machine's end of the link.
    pub(super) fn link(self) -> String {
        format!("duck{}", self.number)
    }

    /// The machine's address on the link: there the API server listens.
    pub(crate) fn machine(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 1)
    }

    /// The node's address on the link, beyond those of Services.
    pub(super) fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 129)
    }

    /// An address of the link with the length of its prefix.
    pub(super) fn on_link(address: Ipv4Addr) -> String {
        format!("{address}/24")
    }

    /// The addresses of Services; the first is that of the API server.
    pub(crate) fn services(self) -> String {
        format!("198.18.{}.0/25", self.number)
    }

    /// The addresses of the node's pods.
    pub(super) fn pods(self) -> String {
        format!("198.19.{}.0/24", self.number)
    }
}
