//! Somebody who talks to the cluster: a user, or a service account's token.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kube::{Client, Config, config::AuthInfo};
use serde_json::{Value, json};

use crate::layout::Layout;

/// What a client must know of an API server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    /// The certificate that vouches for the server (DER).
    pub(crate) authority: Vec<u8>,
    /// The same certificate as a file (PEM).
    pub(crate) authority_file: PathBuf,
}

/// Somebody who is known to a cluster, with a token and a kubeconfig file.
#[derive(Clone)]
pub struct Identity {
    name: String,
    token: String,
    server: Server,
    kubeconfig: PathBuf,
}

impl Identity {
    /// Makes an identity and writes its kubeconfig file.
    pub(crate) fn new(layout: &Layout, server: &Server, name: &str, token: &str) -> Result<Self> {
        Self::proven_by(layout, server, name, token, &json!({ "token": token }))
    }

    /// The same identity, with its token in a file that may change.
    pub(crate) fn with_token_file(&self, layout: &Layout, file: &Path) -> Result<Self> {
        let user = json!({ "tokenFile": file });
        Self::proven_by(layout, &self.server, &self.name, &self.token, &user)
    }

    fn proven_by(
        layout: &Layout,
        server: &Server,
        name: &str,
        token: &str,
        user: &Value,
    ) -> Result<Self> {
        let file = format!("kubeconfig/{}-{:08x}.json", file_name(name), rand::random::<u32>());
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "duckworker", "cluster": {
                "server": server.url,
                "certificate-authority": server.authority_file,
            }}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "duckworker", "context": {"cluster": "duckworker", "user": name}}],
            "current-context": "duckworker",
        });
        let kubeconfig = layout.write(&file, content.to_string())?;
        let (name, token) = (name.to_owned(), token.to_owned());
        Ok(Self { name, token, server: server.clone(), kubeconfig })
    }

    /// The same identity at another server of the same cluster.
    pub(crate) fn at(&self, layout: &Layout, server: &Server) -> Result<Self> {
        Self::new(layout, server, &self.name, &self.token)
    }

    /// The user name, as the API server and the audit log know it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Its kubeconfig file. The file is JSON, which is YAML as well.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client configuration, for tests that change it before they make a client.
    pub fn config(&self) -> Result<Config> {
        let url = self.server.url.parse().context("the server's address is not a URL")?;
        let mut config = Config::new(url);
        config.root_cert = Some(vec![self.server.authority.clone()]);
        config.auth_info =
            AuthInfo { token: Some(self.token.clone().into()), ..AuthInfo::default() };
        Ok(config)
    }

    /// A new client. It belongs to the runtime that calls this, so each test makes its own.
    pub fn client(&self) -> Result<Client> {
        Client::try_from(self.config()?).context("cannot make a client")
    }

    /// A client that acts as somebody else, whoever that is; for `admin`, who may impersonate.
    pub fn client_impersonating(&self, user: &str, groups: &[&str]) -> Result<Client> {
        let mut config = self.config()?;
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups =
            Some(groups.iter().map(|&group| group.to_owned()).collect());
        Client::try_from(config).context("cannot make a client")
    }
}

/// A user name such as `system:serviceaccount:a:b` as a file name.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
