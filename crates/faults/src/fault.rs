//! The faults.

use std::time::Duration;

/// What happens to one call. The client cannot tell most of them apart: that is the point.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The process dies before the call leaves it: nothing is sent, now or later.
    StopBefore,
    /// The process dies when the server has applied the call, before it sees the answer.
    StopAfter,
    /// The connection breaks before the server sees the request.
    LoseRequest,
    /// The server applies the request; the connection breaks before the answer arrives.
    LoseAnswer,
    /// The server applies the request; half of the answer's body arrives.
    CutAnswer,
    /// The request is stuck on its way and reaches the server this much later.
    Late(Duration, Meanwhile),
    /// The same, until [`Faults::release`](crate::Faults::release).
    Held(Meanwhile),
    /// The request arrives twice, one after the other; the client sees one of the answers.
    Twice(Which),
    /// Request and answer take this much longer.
    Slow(Duration),
    /// An answer without the server having done anything.
    Refuse(Refusal),
    /// The server applies the request, and something in between answers this.
    RefuseAfter(Refusal),
    /// Nothing is sent and nothing is answered, ever.
    Hang,
    /// The server applies the request, and the answer never comes.
    HangAfter,
    /// A stream (a watch) breaks after this much time.
    BreakStream(Duration),
    /// A stream (a watch) stays open and says nothing more after this much time.
    MuteStream(Duration),
}

impl Fault {
    /// Whether it ends the process.
    pub const fn stops(&self) -> bool {
        matches!(self, Self::StopBefore | Self::StopAfter)
    }

    /// Every fault of a single call that a running client must get over, with these delays for
    /// late and slow ones. What a seed chooses from.
    pub fn survivable(delay: Duration) -> Vec<Self> {
        let mut all = vec![
            Self::LoseRequest,
            Self::LoseAnswer,
            Self::CutAnswer,
            Self::Late(delay, Meanwhile::Breaks),
            Self::Late(delay, Meanwhile::Silent),
            Self::Twice(Which::First),
            Self::Twice(Which::Second),
            Self::Slow(delay),
            Self::Hang,
            Self::HangAfter,
            Self::BreakStream(delay),
            Self::MuteStream(delay),
            Self::Refuse(Refusal::TooManyRequests { retry_after: 1 }),
            Self::Refuse(Refusal::Conflict),
        ];
        for refusal in Refusal::ERRORS {
            all.push(Self::Refuse(refusal));
            all.push(Self::RefuseAfter(refusal));
        }
        all
    }
}

/// What the client sees while its request is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meanwhile {
    /// The connection breaks at once.
    Breaks,
    /// Nothing, until its own deadline.
    Silent,
}

/// Which of two answers arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    /// That of the first request.
    First,
    /// That of the second: of a write, a conflict with the first.
    Second,
}

/// An answer that says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 409 Conflict.
    Conflict,
    /// 429, with Retry-After in seconds.
    TooManyRequests {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// 500.
    Internal,
    /// 502, from something in between.
    BadGateway,
    /// 503.
    Unavailable,
    /// 504.
    Timeout,
}

impl Refusal {
    /// Those that say nothing about whether the request was applied.
    pub const ERRORS: [Self; 4] =
        [Self::Internal, Self::BadGateway, Self::Unavailable, Self::Timeout];

    /// The HTTP status code.
    pub const fn code(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::Conflict => 409,
            Self::TooManyRequests { .. } => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// The reason in the body.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::Conflict => "Conflict",
            Self::TooManyRequests { .. } => "TooManyRequests",
            Self::Internal => "InternalError",
            Self::BadGateway => "BadGateway",
            Self::Unavailable => "ServiceUnavailable",
            Self::Timeout => "Timeout",
        }
    }
}
