//! What to try next, when everything is left running.

use anyhow::Result;

use crate::ground::NAMESPACE;
use crate::show;
use crate::site::{Site, Workers};

/// Tells it.
pub fn tell(site: &Site, workers: Workers) -> Result<()> {
    show::step("Left running for you, until Ctrl-C. In another terminal, at the project's top:");
    println!("    export KUBECONFIG={}", site.kubeconfig()?.display());
    if let Site::Embedded(cluster) = site {
        println!("    alias kubectl={}   # if you have none", cluster.kubectl_path().display());
    }
    show::say("a worker of its own:");
    println!("    kubectl apply -n {NAMESPACE} -f config/samples/worker-plain.yaml");
    println!("    kubectl get duckworkers -n {NAMESPACE} --watch");
    println!("    kubectl describe dw -n {NAMESPACE}");
    println!("    kubectl explain duckworker.spec");
    if workers == Workers::DuckDb {
        claim();
    }
    Ok(())
}

/// From a tenant to the token of its worker.
fn claim() {
    show::say("a claim, and SQL with what is in its secret:");
    for sample in ["tenant-activation", "tenant", "pool", "claim"] {
        println!("    kubectl apply -n {NAMESPACE} -f config/samples/{sample}.yaml");
    }
    println!("    kubectl wait -n {NAMESPACE} --for=condition=Ready dwc/sample");
    println!("    kubectl get dwc -n {NAMESPACE} -o wide");
    for (key, file) in [("bearer-token", "token"), ("tls\\.crt", "tls.crt"), ("endpoint", "-")] {
        let read = format!("kubectl get secret sample-conn -n {NAMESPACE} -o jsonpath");
        let to = if file == "-" { String::new() } else { format!(" > {file}") };
        println!("    {read}='{{.data.{key}}}' | base64 -d{to}");
    }
    show::say("docs/worker.md, \"Reaching it\", shows what Python and Java do with these");
    show::say("and then, while the claim is there:");
    println!("    kubectl rollout restart -n duckworker-system deployment/duckworker");
    println!("    kubectl delete dwc sample -n {NAMESPACE}; kubectl get dw -n {NAMESPACE} --watch");
}
