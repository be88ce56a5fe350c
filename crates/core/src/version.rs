//! The version of an object in the API server.

use std::cmp::Ordering;

/// A `metadata.resourceVersion`. Two of the same resource compare as decimal numbers, says
/// Kubernetes since 1.35: the later one is the greater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// One that was read. Any text will do: it is only ever compared, and sent back.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(Version::new("100") > Version::new("99"));
        assert!(Version::new("7") < Version::new("8"));
        assert_eq!(Version::new("7").as_str(), "7", "as it was read, so it is sent back");
    }
}
