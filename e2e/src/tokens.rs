//! Takes the tokens of all service accounts away, and gives them back.

use std::fs;

use anyhow::{Context as _, Result};
use rcgen::KeyPair;

use crate::cluster::Cluster;

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
