//! Simulated time: tokio's paused clock, counted from a fixed day.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The second at which every simulation begins: 2024-01-01T00:00:00Z.
const DAWN: i64 = 1_704_067_200;

/// The API server's clock.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    start: Instant,
}

impl SimClock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.start.elapsed()).unwrap_or(SignedDuration::MAX);
        let dawn = Timestamp::from_second(DAWN).unwrap_or(Timestamp::UNIX_EPOCH);
        dawn.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// The simulated time as objects bear it: whole seconds.
    pub fn stamp(&self) -> String {
        stamp(self.now())
    }

    /// The simulated time as the header `Date` bears it.
    pub fn date_header(&self) -> String {
        self.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

/// A time as objects bear it: whole seconds.
pub fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn time_passes_as_tokio_says() {
        let clock = SimClock::start();
        assert_eq!(clock.stamp(), "2024-01-01T00:00:00Z");
        tokio::time::sleep(Duration::from_millis(61_500)).await;
        assert_eq!(clock.stamp(), "2024-01-01T00:01:01Z");
        assert_eq!(clock.date_header(), "Mon, 01 Jan 2024 00:01:01 GMT");
    }
}
