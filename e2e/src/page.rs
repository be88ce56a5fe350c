//! The commands of a page of `docs/`, as a person copies them.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::install::project_root;

/// The kubectl commands of a block under a heading of `docs/operations.md`, counted from 0, without
/// `$ kubectl`, with paths of the project made absolute.
///
/// # Errors
/// When the page has no such block, or no command is in it.
pub fn commands(heading: &str, block: usize) -> Result<Vec<Vec<String>>> {
    let page = fs::read_to_string(project_root().join("docs/operations.md"))?;
    let (_, section) = page.split_once(&format!("## {heading}\n")).context("no such heading")?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let text = section.split("```console\n").nth(block + 1).context("no such block under it")?;
    let (text, _) = text.split_once("```").context("a block without an end")?;
    let command = |line: &str| -> Option<Vec<String>> {
        let words = line.strip_prefix("$ kubectl ")?;
        Some(words.split_whitespace().map(|word| absolute(word.trim_matches('\''))).collect())
    };
    let commands: Vec<_> = text.lines().filter_map(command).collect();
    ensure!(!commands.is_empty(), "no commands under {heading}");
    Ok(commands)
}

/// A path of the project, wherever the test runs.
pub fn absolute(word: &str) -> String {
    let is_path = ["crds/", "config/"].iter().any(|folder| word.starts_with(folder));
    if is_path { project_root().join(word).display().to_string() } else { word.to_owned() }
}
