//! Takes the tokens of all service accounts away, and gives them back; and a file with a token, which
//! is changed while a program reads it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rcgen::KeyPair;

use crate::cluster::Cluster;
use crate::identity::Identity;

/// The file of the key that proves tokens of service accounts.
const KEY_FILE: &str = "service-accounts.pub";

/// The key that was taken away.
#[must_use = "without it no token is valid"]
pub struct TokenKey(String);

impl Cluster {
    /// From now on the API server, which is started anew, answers every token of a service account
    /// with 401, as after a rotation of its key.
    pub async fn revoke_tokens(&self) -> Result<TokenKey> {
        let file = self.layout.path(KEY_FILE);
        let old = fs::read_to_string(&file).context("there is no key of service accounts")?;
        let other = KeyPair::generate().context("no other key")?;
        self.prove_tokens_with(&other.public_key_pem()).await?;
        Ok(TokenKey(old))
    }

    /// The tokens are valid again.
    pub async fn restore_tokens(&self, key: TokenKey) -> Result<()> {
        self.prove_tokens_with(&key.0).await
    }

    async fn prove_tokens_with(&self, public_key: &str) -> Result<()> {
        fs::write(self.layout.path(KEY_FILE), public_key).context("cannot change the key")?;
        self.api_server().restart()?;
        self.await_api_server().await
    }
}

/// A token in a file, as a pod gets it.
pub struct TokenFile {
    identity: Identity,
    path: PathBuf,
}

impl TokenFile {
    /// Writes the file, and a kubeconfig that points to it.
    pub fn new(cluster: &Cluster, first: &Identity) -> Result<Self> {
        let name = format!("token-{:08x}", rand::random::<u32>());
        let path = cluster.layout.write(&name, first.token())?;
        let identity = first.with_token_file(&cluster.layout, &path)?;
        Ok(Self { identity, path })
    }

    /// Who reads the file.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Puts another token in its place, as the kubelet does: at once and whole.
    pub fn write(&self, next: &Identity) -> Result<()> {
        let new = self.path.with_extension("new");
        fs::write(&new, next.token()).context("cannot write the token")?;
        fs::rename(new, &self.path).context("cannot replace the token")
    }
}
