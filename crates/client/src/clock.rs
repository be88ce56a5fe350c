//! The API server's time: its Date header plus our own monotonic clock. Ages of objects are
//! taken in it, so that a wrong clock on this machine changes nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Response, header};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The Date header counts whole seconds.
const GRAIN: Duration = Duration::from_secs(1);

/// A clock that follows the API server's. Cheap to clone; all clones are one clock.
#[derive(Debug, Clone, Default)]
pub struct ServerClock(Arc<Mutex<Option<Sighting>>>);

#[derive(Debug, Clone, Copy)]
struct Sighting {
    server: Timestamp,
    seen: Instant,
}

impl Sighting {
    fn now(self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.seen.elapsed()).unwrap_or(SignedDuration::MAX);
        self.server.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}

impl ServerClock {
    /// The API server's time, in milliseconds; this machine's until the first answer came.
    pub fn now(&self) -> Timestamp {
        let sighting = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = sighting.map_or_else(machine_now, Sighting::now);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Learns from the headers of an answer.
    pub fn observe(&self, headers: &HeaderMap) {
        static PARSER: DateTimeParser = DateTimeParser::new();
        let date = headers.get(header::DATE).and_then(|value| value.to_str().ok());
        let Some(server) = date.and_then(|text| PARSER.parse_timestamp(text).ok()) else {
            return;
        };
        let mut sighting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The true time is in [Date, Date + 1 s): move only when our estimate is outside, so that
        // the clock keeps its milliseconds and does not saw.
        let fits = sighting.is_some_and(|known| {
            let ahead = known.now().duration_since(server);
            ahead >= SignedDuration::ZERO && ahead.unsigned_abs() < GRAIN
        });
        if !fits {
            *sighting = Some(Sighting { server, seen: Instant::now() });
        }
    }

    /// What a client's service stack does with each response: learn, and hand it on.
    pub(crate) fn learner<B>(&self) -> impl Fn(Response<B>) -> Response<B> + Clone + use<B> {
        let clock = self.clone();
        move |response| {
            clock.observe(response.headers());
            response
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that asks this machine for the time")]
fn machine_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(date: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::DATE, date.parse().unwrap())])
    }

    #[tokio::test(start_paused = true)]
    async fn follows_the_server_between_answers() {
        let clock = ServerClock::default();
        clock.observe(&headers("Tue, 24 Nov 2026 22:00:00 GMT"));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.now().to_string(), "2026-11-24T22:00:01.5Z");
        // The same second as our estimate: no step back to .000.
        clock.observe(&headers("Tue, 24 Nov 2026 22:00:01 GMT"));
        assert_eq!(clock.now().to_string(), "2026-11-24T22:00:01.5Z");
        // The server jumped: we follow.
        clock.observe(&headers("Tue, 24 Nov 2026 21:00:00 GMT"));
        assert_eq!(clock.now().to_string(), "2026-11-24T21:00:00Z");
    }

    #[test]
    fn a_nonsense_date_is_ignored() {
        let clock = ServerClock::default();
        clock.observe(&headers("yesterday"));
        assert!(clock.0.lock().unwrap().is_none());
    }
}
