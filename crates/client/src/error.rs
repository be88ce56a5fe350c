//! What can go wrong, and what to do then.

use std::time::Duration;

use duckworker_api::Unreadable;

use crate::answer::{self, Doubt};

/// A call that neither did what was asked nor missed. The object is always named.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused the request for good: rights, rules, limits.
    #[error("{what}: the API server refused it")]
    Refused {
        /// What was tried, on which object.
        what: String,
        /// Its answer.
        source: kube::Error,
    },
    /// The API server asks for patience.
    #[error("{what}: the API server is busy; try again in {pause:?}")]
    Throttled {
        /// What was tried, on which object.
        what: String,
        /// How long to wait.
        pause: Duration,
    },
    /// The answer was lost and could not be decided in time. Ask again: the write is remembered,
    /// and nothing else is begun on the object before it is decided.
    #[error("{what}: the answer was lost and is not decided yet; ask again")]
    Undecided {
        /// What was tried, on which object.
        what: String,
        /// The last doubt.
        source: Doubt,
    },
    /// There was no answer, or none that helps: a read failed, or the object moved between two calls.
    #[error("{what}: no useful answer from the API server; try again")]
    Unavailable {
        /// What was tried, on which object.
        what: String,
        /// The last doubt.
        source: Doubt,
    },
    /// The object is a newer version's, or malformed. It is left alone.
    #[error("{what}: this version cannot read the object and leaves it alone")]
    Unreadable {
        /// What was tried, on which object.
        what: String,
        /// Which part.
        source: Unreadable,
    },
    /// This instance may not write: its own Lease is not renewed, or over.
    #[error("{what}: this instance does not write while its own Lease is {why}")]
    NotInOffice {
        /// What was tried, on which object.
        what: String,
        /// Paused or over.
        why: &'static str,
    },
    /// An object of that name belongs to somebody else. It is left alone.
    #[error("{what}: {kind} {name} exists and is not this worker's; rename one of them")]
    Foreign {
        /// What was tried, on which object.
        what: String,
        /// Pod or secret.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ErrorClass {
    /// Wait as long as the server says.
    Throttled(Duration),
    /// Wait a little, then a little longer: the server or the way to it is ill.
    Unavailable,
    /// Our rights are missing: an administrator has to act.
    Forbidden,
    /// The request itself is wrong; only a change of the object helps.
    Invalid,
    /// Somebody else's object stands in the way.
    Conflict,
}

impl Error {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Throttled { pause, .. } => ErrorClass::Throttled(*pause),
            Self::Undecided { .. } | Self::Unavailable { .. } | Self::NotInOffice { .. } => {
                ErrorClass::Unavailable
            }
            Self::Refused { source: kube::Error::Api(status), .. } => match status.code {
                401 | 403 => ErrorClass::Forbidden,
                _ => ErrorClass::Invalid,
            },
            Self::Refused { .. } | Self::Unreadable { .. } => ErrorClass::Invalid,
            Self::Foreign { .. } => ErrorClass::Conflict,
        }
    }

    /// Whether a write was refused for the size of its object: it will be whenever it is sent.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if answer::is_too_large(source))
    }

    /// The sentence of the API server, where it refused.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { source: kube::Error::Api(status), .. } => Some(&status.message),
            _ => None,
        }
    }
}
