//! The kubelet of a real node.

use anyhow::Result;
use serde_json::{Value, json};

use super::{REAL_NODE, containerd::Containerd, sandbox::Sandbox};
use crate::{
    component::Component, control_group, identity::Identity, layout::Layout, parts::Parts,
};

/// Describes the kubelet and writes its configuration.
pub(super) fn kubelet(
    parts: &Parts<'_>,
    sandbox: &Sandbox,
    containerd: &Containerd,
    identity: &Identity,
) -> Result<Component> {
    let layout = parts.layout;
    let config = layout.write("kubelet.json", configuration(layout, containerd).to_string())?;
    let file = |name: &str| layout.path(name).display().to_string();
    let (label, value) = REAL_NODE;
    Ok(sandbox.inside("kubelet", parts.duckcluster, layout).args([
        "kubelet".to_owned(),
        format!("--config={}", config.display()),
        format!("--kubeconfig={}", identity.kubeconfig().display()),
        format!("--hostname-override={}", super::NAME),
        format!("--node-ip={}", sandbox.network().node()),
        format!("--node-labels={label}={value}"),
        format!("--root-dir={}", file("kubelet")),
        format!("--cert-dir={}", file("kubelet-certificates")),
    ]))
}

fn configuration(layout: &Layout, containerd: &Containerd) -> Value {
    let low = "100Mi";
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", containerd.socket().display()),
        // The API server shows the only certificate that there is, to fetch logs.
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": false },
            "x509": { "clientCAFile": layout.certificate() },
        },
        "authorization": { "mode": "AlwaysAllow" },
        "healthzPort": 0,
        "resolvConf": "",
        "podLogsDir": layout.path("pod-logs"),
        "volumePluginDir": layout.path("volume-plugins"),

        // What a machine may lack: version 2 of control groups, systemd, a swap-free memory,
        // CAP_SYS_RESOURCE. Containers have their own limits all the same.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", control_group::of_cluster(&layout.path(""))),
        "cgroupsPerQOS": true,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        "oomScoreAdj": 0,

        // The machine may be busy and full; that is no reason to evict the pods of a test.
        "evictionHard": {
            "memory.available": low, "nodefs.available": low, "imagefs.available": low,
        },
        "imageGCHighThresholdPercent": 100,

        // Tests wait for each step.
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "5s",
        "kubeAPIQPS": 500, "kubeAPIBurst": 500,
        "serializeImagePulls": false,
    })
}
