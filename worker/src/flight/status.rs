//! Failures as gRPC statuses.

use arrow::error::ArrowError;
use tonic::{Code, Status};

use crate::engine::{Cause, EngineError};
use crate::rules::activation::Refusal;
use crate::rules::admission::Denied;
use crate::rules::bodies::Malformed;
use crate::rules::failure::Failure;

/// A message travels as a header, and clients take only so many bytes of those.
const LIMIT: usize = 3000;

/// The status of a failed statement.
pub fn of_engine(error: &EngineError) -> Status {
    let code = match error {
        EngineError::Failed { failure, .. } => code_of(*failure),
        EngineError::Stopped(Cause::Client | Cause::SessionEnded) => Code::Cancelled,
        EngineError::Stopped(Cause::TimedOut(_) | Cause::Unclaimed(_)) => Code::DeadlineExceeded,
        EngineError::Stopped(Cause::ShuttingDown) => Code::Unavailable,
        EngineError::Busy(_) => Code::ResourceExhausted,
        EngineError::Parameter(_) => Code::InvalidArgument,
        EngineError::Died => Code::Internal,
    };
    tracing::debug!(failure = error.name(), "a statement failed");
    Status::new(code, shortened(error.to_string()))
}

fn code_of(failure: Failure) -> Code {
    match failure {
        Failure::Statement => Code::InvalidArgument,
        Failure::Missing => Code::NotFound,
        Failure::Conflict | Failure::Outside => Code::FailedPrecondition,
        Failure::Aborted => Code::Aborted,
        Failure::Forbidden => Code::PermissionDenied,
        Failure::Exhausted => Code::ResourceExhausted,
        Failure::Interrupted => Code::Cancelled,
        Failure::Unsupported => Code::Unimplemented,
        Failure::Internal | Failure::Broken => Code::Internal,
    }
}

/// The status of a refused activation.
pub fn of_refusal(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::Draining => Status::unavailable(message),
        Refusal::OtherTenant => Status::permission_denied(message),
        _ => Status::failed_precondition(message),
    }
}

/// The status of something that may not begin.
pub fn of_denied(denied: Denied) -> Status {
    let message = denied.to_string();
    match denied {
        Denied::Draining => Status::unavailable(message),
        Denied::NotActivated => Status::failed_precondition(message),
        Denied::Sessions(_) | Denied::Connections(_) => Status::resource_exhausted(message),
    }
}

/// The status of a body that cannot be used.
pub fn of_malformed(malformed: &Malformed) -> Status {
    Status::invalid_argument(malformed.to_string())
}

/// The status when a message could not be made of Arrow's values.
pub fn of_arrow(error: &ArrowError) -> Status {
    Status::internal(shortened(error.to_string()))
}

fn shortened(mut message: String) -> String {
    if message.len() > LIMIT {
        let end = (0..=LIMIT).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let short = shortened("ü".repeat(5000));
        assert!(short.len() <= LIMIT + 3 && short.ends_with('…'));
        assert_eq!(shortened("x".to_owned()), "x");
    }

    #[test]
    fn a_client_can_tell_what_happened() {
        let failed = |message: &str| {
            of_engine(&EngineError::Failed {
                failure: Failure::of(message),
                message: message.to_owned(),
            })
            .code()
        };
        assert_eq!(failed("Parser Error: x"), Code::InvalidArgument);
        assert_eq!(failed("Out of Memory Error: x"), Code::ResourceExhausted);
        assert_eq!(failed("Catalog Error: Table t does not exist"), Code::NotFound);
        let stopped = |cause| of_engine(&EngineError::Stopped(cause)).code();
        assert_eq!(stopped(Cause::Client), Code::Cancelled);
        assert_eq!(stopped(Cause::TimedOut(std::time::Duration::ZERO)), Code::DeadlineExceeded);
        assert_eq!(of_denied(Denied::Draining).code(), Code::Unavailable);
        assert_eq!(of_refusal(&Refusal::OtherTenant).code(), Code::PermissionDenied);
    }
}
