//! The files in a cluster's state folder: their names, and those that exist before any part starts.

use std::{
    fs,
    net::SocketAddrV4,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

use crate::{identity::Server, options::User};

/// Everything is recorded, but never what a request or an answer contains.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// Where the files of one cluster are.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
}

impl Layout {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The path of a file or folder of the state.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn log(&self, part: &str) -> PathBuf {
        self.folder.join(format!("{part}.log"))
    }

    /// An address of etcd: sockets in the file system need no free port.
    pub(crate) fn etcd_url(&self) -> String {
        format!("unix://{}", self.path("etcd.sock").display())
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("tls.crt")
    }

    /// Writes a file that holds text.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Writes keys, certificate and policy, and returns what a client must know of the server.
    pub(crate) fn prepare(&self, address: SocketAddrV4) -> Result<Server> {
        let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        if !address.ip().is_loopback() {
            names.push(address.ip().to_string());
        }
        // The certificate vouches for itself, so it is the authority as well.
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
        let authority_file = self.write("tls.crt", cert.pem())?;
        self.write("tls.key", signing_key.serialize_pem())?;
        // With this pair the API server signs and verifies the tokens of service accounts.
        let tokens = KeyPair::generate()?;
        self.write("service-accounts.key", tokens.serialize_pem())?;
        self.write("service-accounts.pub", tokens.public_key_pem())?;
        self.write("audit-policy.yaml", AUDIT_POLICY)?;
        fs::create_dir(self.path("kubeconfig"))?;
        let url = format!("https://{address}");
        Ok(Server { url, authority: cert.der().to_vec(), authority_file })
    }

    /// Writes the API server's list of users, and returns each user's token.
    pub(crate) fn write_users(&self, users: &[User]) -> Result<Vec<String>> {
        let tokens: Vec<String> =
            users.iter().map(|_| format!("{:032x}", rand::random::<u128>())).collect();
        let lines: Vec<String> = users
            .iter()
            .zip(&tokens)
            .map(|(User { name, groups }, token)| {
                format!("{token},{name},{name},\"{}\"", groups.join(","))
            })
            .collect();
        self.write("users.csv", lines.join("\n"))?;
        Ok(tokens)
    }
}
