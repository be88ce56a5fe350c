//! Tokens of service accounts, as a pod gets them.

use anyhow::{Context as _, Result};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Pod, Secret, ServiceAccount},
};
use kube::{Api, Resource, api::PostParams};

use crate::{cluster::Cluster, identity::Identity};

/// How long a token is good for, in seconds: nothing here renews it, and no test runs longer.
const LIFE: i64 = 24 * 3600;

impl Cluster {
    /// Signs in as a service account. With a pod, the token is bound to it: the API server then
    /// tells the pod's name and uid to admission policies and to the audit log, and refuses the
    /// token once the pod is gone.
    pub async fn service_account(
        &self,
        namespace: &str,
        account: &str,
        pod: Option<&Pod>,
    ) -> Result<Identity> {
        self.bound_token(namespace, account, pod.map(reference)).await
    }

    /// The same with a token that is good for as long as a secret is there.
    pub async fn service_account_while(
        &self,
        namespace: &str,
        account: &str,
        secret: &Secret,
    ) -> Result<Identity> {
        self.bound_token(namespace, account, Some(reference(secret))).await
    }

    async fn bound_token(
        &self,
        namespace: &str,
        account: &str,
        bound_object_ref: Option<BoundObjectReference>,
    ) -> Result<Identity> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, namespace);
        let expiration_seconds = Some(LIFE);
        let spec = TokenRequestSpec {
            bound_object_ref,
            expiration_seconds,
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer: TokenRequest = accounts
            .create_subresource("token", account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for the service account {namespace}/{account}"))?;
        let token = answer.status.and_then(|status| status.token);
        let token = token.context("the API server sent no token")?;
        let name = format!("system:serviceaccount:{namespace}:{account}");
        Identity::new(&self.layout, &self.server, &name, &token)
    }
}

fn reference<K: Resource<DynamicType = ()>>(object: &K) -> BoundObjectReference {
    BoundObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: object.meta().name.clone(),
        uid: object.meta().uid.clone(),
    }
}
