//! Container images made by our own code: a directory of files, and how to start it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::libraries::libraries;

/// An image that is built up from nothing ("scratch").
///
/// The same files make the same image, byte for byte: nothing in it tells when it was made, or
/// by whom.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    /// Where it comes from, for each path in the image.
    files: BTreeMap<String, Source>,
    entrypoint: Vec<String>,
    env: Vec<String>,
    user: String,
}

#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Text(String),
}

impl Image {
    /// An empty image. The name is a full one, with registry and tag, such as
    /// `duckworker.invalid/stub:dev`: short names mean different things to different programs.
    pub fn scratch(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            files: BTreeMap::new(),
            entrypoint: Vec::new(),
            env: Vec::new(),
            user: "65532:65532".to_owned(),
        }
    }

    /// Adds a file of this machine, which everybody may read and execute.
    #[must_use]
    pub fn file(mut self, source: impl Into<PathBuf>, path: &str) -> Self {
        self.files.insert(path.to_owned(), Source::File(source.into()));
        self
    }

    /// Adds a file with this content.
    #[must_use]
    pub fn text(mut self, content: impl Into<String>, path: &str) -> Self {
        self.files.insert(path.to_owned(), Source::Text(content.into()));
        self
    }

    /// Adds a program with the shared libraries that it needs. Those outside of the system's own
    /// folders are looked for in `library_folders`.
    ///
    /// # Errors
    /// When the program cannot be read, or a library is not to be found.
    pub fn program(mut self, source: &Path, path: &str, library_folders: &[&Path]) -> Result<Self> {
        for library in libraries(source, library_folders)? {
            self = self.file(library.source, &library.path);
        }
        Ok(self.file(source, path))
    }

    /// The command that a container starts with.
    #[must_use]
    pub fn entrypoint<const N: usize>(mut self, command: [&str; N]) -> Self {
        self.entrypoint = command.map(str::to_owned).to_vec();
        self
    }

    /// Sets a variable of the container's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(format!("{name}={value}"));
        self
    }

    /// The name by which pods ask for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes it as a tar archive in the layout of the Open Container Initiative, as
    /// `ctr images import` reads it.
    ///
    /// # Errors
    /// When a file cannot be read, or the archive not be written.
    pub fn write(&self, to: impl Write) -> Result<()> {
        let (registry, tag) = (self.name.split_once('/'), self.name.rsplit_once(':'));
        ensure!(
            registry.is_some_and(|(host, _)| host.contains('.')) && tag.is_some(),
            "{} is not the full name of an image, like duckworker.invalid/stub:dev",
            self.name,
        );
        let layer = self.layer().with_context(|| format!("cannot make the image {}", self.name))?;
        let layer = Blob::new("application/vnd.oci.image.layer.v1.tar", layer);
        let config = self.config(&layer.digest).to_string();
        let config = Blob::new("application/vnd.oci.image.config.v1+json", config.into_bytes());
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        });
        let manifest = Blob::new(media_type, manifest.to_string().into_bytes());
        let mut entry = manifest.descriptor();
        entry["annotations"] = json!({ "io.containerd.image.name": self.name });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();

        let mut archive = tar::Builder::new(to);
        append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
        append(&mut archive, "index.json", index.as_bytes(), 0o644)?;
        for blob in [config, manifest, layer] {
            append(&mut archive, &format!("blobs/sha256/{}", blob.digest), &blob.content, 0o644)?;
        }
        archive.into_inner()?.flush()?;
        Ok(())
    }

    /// The tar archive of its files, each folder before what is in it.
    fn layer(&self) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for folder in self.folders() {
            let mut header = header(0o755, 0);
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, format!("{folder}/"), std::io::empty())?;
        }
        for (path, source) in &self.files {
            let path = path.trim_start_matches('/');
            match source {
                Source::File(file) => {
                    let content = fs::read(file)
                        .with_context(|| format!("cannot read {}", file.display()))?;
                    append(&mut archive, path, &content, 0o755)?;
                }
                Source::Text(text) => append(&mut archive, path, text.as_bytes(), 0o644)?,
            }
        }
        Ok(archive.into_inner()?)
    }

    /// All folders above its files. A set is in the order that is needed.
    fn folders(&self) -> BTreeSet<String> {
        let mut folders = BTreeSet::new();
        for path in self.files.keys() {
            let above = Path::new(path.trim_start_matches('/')).ancestors().skip(1);
            folders.extend(above.map(|folder| folder.display().to_string()));
        }
        folders.remove("");
        folders
    }

    fn config(&self, layer: &str) -> Value {
        json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Env": self.env,
                "User": self.user,
                "WorkingDir": "/",
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        })
    }
}

/// This machine's architecture, as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Content that is named by its digest.
struct Blob {
    media_type: &'static str,
    digest: String,
    content: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, content: Vec<u8>) -> Self {
        Self { media_type, digest: hex(&content), content }
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": format!("sha256:{}", self.digest),
            "size": self.content.len(),
        })
    }
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A header that says nothing of when and by whom the archive was made.
fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    content: &[u8],
    mode: u32,
) -> Result<()> {
    let mut header = header(mode, content.len() as u64);
    Ok(archive.append_data(&mut header, path, content)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn image() -> Image {
        Image::scratch("duckworker.invalid/test:1")
            .text("hello", "/etc/deep/greeting")
            .text("b", "/a")
            .entrypoint(["/a", "b"])
            .env("KEY", "value")
    }

    fn archive(image: &Image) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut bytes = Vec::new();
        image.write(&mut bytes)?;
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries()? {
            let mut entry = entry?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(entry.path()?.display().to_string(), content);
        }
        Ok(files)
    }

    /// Follows a digest to its blob, and checks it on the way.
    fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Result<&'a [u8]> {
        let digest = descriptor["digest"].as_str().context("no digest")?;
        let digest = digest.strip_prefix("sha256:").context("another digest")?;
        let blob = files.get(&format!("blobs/sha256/{digest}")).context("no blob")?;
        ensure!(hex(blob) == digest && descriptor["size"] == blob.len());
        Ok(blob)
    }

    #[test]
    fn an_archive_leads_from_its_index_to_its_files() -> Result<()> {
        let files = archive(&image())?;
        let index: Value = serde_json::from_slice(&files["index.json"])?;
        let entry = &index["manifests"][0];
        assert_eq!(entry["annotations"]["io.containerd.image.name"], "duckworker.invalid/test:1");
        let manifest: Value = serde_json::from_slice(blob(&files, entry)?)?;
        let config: Value = serde_json::from_slice(blob(&files, &manifest["config"])?)?;
        assert_eq!(config["config"]["Entrypoint"], json!(["/a", "b"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        let layer = blob(&files, &manifest["layers"][0])?;
        let mut paths = Vec::new();
        for entry in tar::Archive::new(layer).entries()? {
            paths.push(entry?.path()?.display().to_string());
        }
        assert_eq!(paths, ["etc/", "etc/deep/", "a", "etc/deep/greeting"]);
        Ok(())
    }

    #[test]
    fn the_same_files_make_the_same_archive() -> Result<()> {
        assert_eq!(archive(&image())?, archive(&image())?);
        assert_ne!(archive(&image())?, archive(&image().text("c", "/a"))?);
        Ok(())
    }

    #[test]
    fn a_short_name_is_refused() {
        for name in ["stub", "stub:dev", "duckworker/stub:dev", "duckworker.invalid/stub"] {
            assert!(Image::scratch(name).write(std::io::sink()).is_err(), "{name}");
        }
    }
}
