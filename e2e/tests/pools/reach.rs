//! What network policies let through, as the documentation of Kubernetes says it. No node of the
//! embedded cluster enforces one, so that no packet can tell.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};

/// One end of a connection.
#[derive(Debug, Clone)]
pub enum End {
    /// A pod, and the namespace that it is in.
    Pod(Box<Pod>, Box<Namespace>),
    /// An address outside of the cluster.
    Address(IpAddr),
}

/// What is asked of the other end.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    pub protocol: &'static str,
    pub number: i32,
}

/// A port of a connection over TCP.
pub const fn tcp(number: i32) -> Port {
    Port { protocol: "TCP", number }
}

/// Which side of a connection a policy speaks of.
#[derive(Debug, Clone, Copy)]
enum Side {
    Ingress,
    Egress,
}

/// Whether somebody reaches a port of somebody else under these policies: both of them must be let.
pub fn reaches(policies: &[NetworkPolicy], from: &End, to: &End, port: Port) -> Result<bool> {
    let out = is_let(policies, Side::Egress, from, to, (to, port))?;
    Ok(out && is_let(policies, Side::Ingress, to, from, (to, port))?)
}

/// Whether the policies over one end let it speak with the other. They add up, and where there is
/// none, everything is let.
fn is_let(
    policies: &[NetworkPolicy],
    side: Side,
    own: &End,
    other: &End,
    asked: (&End, Port),
) -> Result<bool> {
    let mut over = false;
    for policy in policies {
        let Some(rules) = rules_over(policy, side, own)? else { continue };
        over = true;
        for (peers, ports) in rules {
            let home = policy.namespace().unwrap_or_default();
            let peer = any(&peers, |peer| is_peer(peer, &home, other))?;
            if peer && any(&ports, |port| is_port(port, asked))? {
                return Ok(true);
            }
        }
    }
    Ok(!over)
}

type Rule = (Vec<NetworkPolicyPeer>, Vec<NetworkPolicyPort>);

/// The rules of a policy for one side of a pod; none if it says nothing of that.
fn rules_over(policy: &NetworkPolicy, side: Side, own: &End) -> Result<Option<Vec<Rule>>> {
    let End::Pod(pod, _) = own else { return Ok(None) };
    let spec = policy.spec.clone().context("a policy without a spec")?;
    let kind = format!("{side:?}");
    let speaks = spec.policy_types.context("a policy without types")?.contains(&kind);
    let here = policy.namespace() == pod.namespace();
    if !speaks || !here || !selects(spec.pod_selector.as_ref(), pod.labels())? {
        return Ok(None);
    }
    let ingress = spec.ingress.into_iter().flatten().map(|rule| (rule.from, rule.ports));
    let egress = spec.egress.into_iter().flatten().map(|rule| (rule.to, rule.ports));
    let whole = |(peers, ports): (Option<Vec<_>>, Option<Vec<_>>)| {
        (peers.unwrap_or_default(), ports.unwrap_or_default())
    };
    Ok(Some(match side {
        Side::Ingress => ingress.map(whole).collect(),
        Side::Egress => egress.map(whole).collect(),
    }))
}

/// A rule that names nobody, or no port, means all of them.
fn any<T>(all: &[T], fits: impl Fn(&T) -> Result<bool>) -> Result<bool> {
    if all.is_empty() {
        return Ok(true);
    }
    for one in all {
        if fits(one)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_peer(peer: &NetworkPolicyPeer, home: &str, other: &End) -> Result<bool> {
    match (other, &peer.ip_block) {
        (End::Address(address), Some(block)) => is_in(block, *address),
        (End::Pod(pod, namespace), None) => {
            let near = match &peer.namespace_selector {
                Some(selector) => selects(Some(selector), namespace.labels())?,
                None => namespace.name_any() == home,
            };
            Ok(near && selects(peer.pod_selector.as_ref(), pod.labels())?)
        }
        _ => Ok(false),
    }
}

/// A name is that of a port of the pod that is asked.
fn is_port(open: &NetworkPolicyPort, (to, port): (&End, Port)) -> Result<bool> {
    let protocol = open.protocol.as_deref().unwrap_or("TCP");
    let number = match open.port.as_ref().context("a rule without a port")? {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => named(to, name),
    };
    Ok(protocol == port.protocol && number == Some(port.number))
}

fn named(to: &End, name: &str) -> Option<i32> {
    let End::Pod(pod, _) = to else { return None };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    Some(ports.find(|port| port.name.as_deref() == Some(name))?.container_port)
}

fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> Result<bool> {
    let selector: Selector = selector.cloned().unwrap_or_default().try_into()?;
    Ok(selector.matches(labels))
}

fn is_in(block: &IPBlock, address: IpAddr) -> Result<bool> {
    for excepted in block.except.iter().flatten() {
        if within(excepted, address)? {
            return Ok(false);
        }
    }
    within(&block.cidr, address)
}

fn within(net: &str, address: IpAddr) -> Result<bool> {
    let (base, length) = net.split_once('/').context("no length")?;
    let length: u32 = length.parse()?;
    let top = |bits: u128, width: u32| bits.checked_shr(width - length).unwrap_or(0);
    Ok(match (base.parse()?, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            top(base.to_bits().into(), 32) == top(address.to_bits().into(), 32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            top(base.to_bits(), 128) == top(address.to_bits(), 128)
        }
        _ => false,
    })
}

/// A pod with these labels in this namespace.
pub fn pod(labels: &[(&str, &str)], namespace: &Namespace) -> End {
    let mut pod = Pod::default();
    pod.metadata.namespace = Some(namespace.name_any());
    pod.labels_mut().extend(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    End::Pod(Box::new(pod), Box::new(namespace.clone()))
}

/// An address outside of the cluster.
pub fn address(text: &str) -> Result<End> {
    match text.parse() {
        Ok(address) => Ok(End::Address(address)),
        Err(error) => bail!("{text}: {error}"),
    }
}
