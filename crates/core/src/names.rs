//! Names and numbers that are checked once, where they enter.

use std::fmt;

/// Why a text is not a name of the wanted kind. Says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} is not valid: {rule}")]
pub struct InvalidName {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks the text. The error says what the rule is.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidName { kind: $kind, text, rule: $rule })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

checked_name!(
    /// The identity of one control-plane instance, as the API server vouches for it, plus a random
    /// incarnation. Never reused: a restarted process is another owner.
    Owner,
    "owner",
    "an owner is 1 to 253 characters without white space",
    |text| (1..=253).contains(&text.len()) && !text.contains(char::is_whitespace)
);

checked_name!(
    /// A tenant: also the value of a label, so a DNS label.
    Tenant,
    "tenant",
    "a tenant is a DNS label: 1 to 63 lower-case letters, digits and '-', starting and ending with a letter or digit",
    is_dns_label
);

checked_name!(
    /// The uid of an object: what tells it from a namesake.
    Uid,
    "uid",
    "a uid is 1 to 63 letters, digits and '-'",
    |text| (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);

checked_name!(
    /// The image of the container `duckdb`: a worker's *version*.
    Image,
    "image",
    "an image is 1 to 1024 characters without white space",
    |text| (1..=1024).contains(&text.len()) && !text.contains(char::is_whitespace)
);

checked_name!(
    /// The random id of one write, by which its author knows it again.
    WriteId,
    "write id",
    "a write id is 8 to 36 letters, digits and '-'",
    |text| (8..=36).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);

impl WriteId {
    /// The id of these random bits.
    pub fn from_bits(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }
}

/// What a longer content is told by: FNV-1a of it, in 64 bits. Stable across versions and machines;
/// no protection against somebody who wants two contents to have the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of this content.
    pub fn of(content: &[u8]) -> Self {
        let hash = content.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(format!("{hash:016x}"))
    }

    /// One that was written down. Any text will do: it is only ever compared.
    pub fn written(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last half: enough for names.
    pub fn short(&self) -> &str {
        self.0.get(8..).unwrap_or(&self.0)
    }
}

/// RFC 1123 label.
pub fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(&a), Some(&z)) if inner(a) && inner(z))
        && bytes.len() <= 63
        && bytes.iter().all(|&b| inner(b) || b == b'-')
}

/// How often the ownership of a worker was handed out. Rises by exactly one with each claim,
/// take-over, adoption and refresh, and never falls. Signed, since Kubernetes integers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(i64);

impl Epoch {
    /// The epoch of a worker that nobody owned yet.
    pub const ZERO: Self = Self(0);
    /// The epoch that the first owner gets.
    pub const FIRST: Self = Self(1);

    /// An epoch read from an object; `None` when negative.
    pub const fn new(value: i64) -> Option<Self> {
        if value < 0 { None } else { Some(Self(value)) }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The epoch of the next hand-over. Saturates, which 2^63 hand-overs will not reach.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_dns_labels() {
        for good in ["a", "a-1", "0", &"x".repeat(63)] {
            assert!(Tenant::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", &"x".repeat(64)] {
            assert!(Tenant::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_error_says_what_to_write_instead() {
        let error = Tenant::new("Bad Tenant").unwrap_err().to_string();
        assert!(error.contains("DNS label") && error.contains("Bad Tenant"), "{error}");
    }

    #[test]
    fn epochs_are_never_negative() {
        assert_eq!(Epoch::new(-1), None);
        assert_eq!(Epoch::ZERO.next(), Epoch::FIRST);
    }
}
