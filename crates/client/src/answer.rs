//! What an answer proves about a write: it was applied, it was not, or nobody knows.

use std::future::Future;
use std::time::Duration;

use kube::core::Status;

/// What is known of one request after its answer, or after waiting for it.
#[derive(Debug)]
pub enum Answer<T> {
    /// It was applied, and this is the object now.
    Applied(T),
    /// 409: the object moved, or one of that name exists. By itself no proof of whose doing.
    Conflict(Box<Status>),
    /// It was not applied, and the same request would not be later either.
    Refused(kube::Error),
    /// It was not applied; try again after the pause.
    Throttled(Duration),
    /// It may have been applied, or may be applied yet.
    Unknown(Doubt),
}

/// Why nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The world moved between two calls.
    #[error("it changed meanwhile")]
    Moved,
    /// An answer that proves nothing, or none at all.
    #[error(transparent)]
    Answer(kube::Error),
}

/// The pause that a 429 without a Retry-After means.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// However long the server says.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Sends one request and judges its answer.
pub async fn ask<T>(
    deadline: Duration,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Answer<T> {
    match tokio::time::timeout(deadline, request).await {
        Ok(answer) => judge(answer),
        Err(_) => Answer::Unknown(Doubt::Deadline(deadline)),
    }
}

/// What this answer proves.
pub fn judge<T>(answer: Result<T, kube::Error>) -> Answer<T> {
    match answer {
        Ok(object) => Answer::Applied(object),
        Err(kube::Error::Api(status)) => judge_status(status),
        // Never left this process.
        Err(
            error @ (kube::Error::BuildRequest(_)
            | kube::Error::HttpError(_)
            | kube::Error::Auth(_)
            | kube::Error::TlsRequired),
        ) => Answer::Refused(error),
        // Lost on the way, or an answer that cannot be read: it may well have been a success.
        Err(error) => Answer::Unknown(Doubt::Answer(error)),
    }
}

fn judge_status<T>(status: Box<Status>) -> Answer<T> {
    match status.code {
        409 => Answer::Conflict(status),
        429 => Answer::Throttled(pause(&status)),
        400..=499 => Answer::Refused(kube::Error::Api(status)),
        500 if says_too_large(&status) => Answer::Refused(kube::Error::Api(status)),
        _ => Answer::Unknown(Doubt::Answer(kube::Error::Api(status))),
    }
}

fn pause(status: &Status) -> Duration {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    let asked = Duration::from_secs(u64::from(seconds));
    if asked.is_zero() { DEFAULT_PAUSE } else { asked.min(LONGEST_PAUSE) }
}

/// Whether a request was refused for its size: whenever it is sent, it will be again.
pub(crate) fn is_too_large(refusal: &kube::Error) -> bool {
    matches!(refusal, kube::Error::Api(status) if status.code == 413 || says_too_large(status))
}

/// etcd's refusal of a request over its size limit arrives as a plain 500, yet no retry helps.
fn says_too_large(status: &Status) -> bool {
    let text = &status.message;
    text.contains("request is too large") || text.contains("larger than max")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Result<(), kube::Error> {
        Err(kube::Error::Api(Status::failure(message, "Test").with_code(code).boxed()))
    }

    #[test]
    fn client_errors_prove_that_nothing_happened() {
        for code in [400, 401, 403, 404, 405, 410, 413, 415, 422] {
            assert!(matches!(judge(status(code, "")), Answer::Refused(_)), "{code}");
        }
        assert!(matches!(judge(status(409, "")), Answer::Conflict(_)));
        assert!(matches!(judge(status(429, "")), Answer::Throttled(DEFAULT_PAUSE)));
    }

    #[test]
    fn server_errors_prove_nothing() {
        for code in [500, 502, 503, 504] {
            assert!(matches!(judge(status(code, "")), Answer::Unknown(_)), "{code}");
        }
    }

    #[test]
    fn too_large_is_for_ever() {
        let answer = judge(status(500, "etcdserver: request is too large"));
        assert!(matches!(answer, Answer::Refused(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_unknown() {
        let answer = ask(Duration::from_secs(5), std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(answer, Answer::Unknown(Doubt::Deadline(_))));
    }
}
