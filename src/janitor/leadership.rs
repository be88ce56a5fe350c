//! Whether this instance leads the janitor: what the elector tells, and everybody else asks.

use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;

/// One term of leadership, as the elector tells it.
#[derive(Debug, Clone, Copy, Default)]
struct Term {
    /// Until when it leads, unless it is renewed.
    until: Option<Instant>,
    /// How often it came to lead. Whoever looks late sees by it that there was a gap.
    number: u64,
}

/// The elector's side: it tells the terms of this instance.
#[derive(Debug)]
pub(crate) struct Terms(watch::Sender<Term>);

impl Terms {
    /// It does not lead yet.
    pub(crate) fn new() -> (Self, Leadership) {
        let (tell, term) = watch::channel(Term::default());
        (Self(tell), Leadership { term: Some(term) })
    }

    /// It leads until then, or goes on doing so. Whether it had not led before.
    pub(crate) fn lead(&self, until: Instant) -> bool {
        let mut begins = false;
        self.0.send_modify(|term| {
            begins = term.until.is_none();
            // One whose time ran out did not act meanwhile, as one that had resigned.
            if term.until.is_none_or(|until| Instant::now() >= until) {
                term.number += 1;
            }
            term.until = Some(until);
        });
        begins
    }

    /// It does not lead any more. Whether it had.
    pub(crate) fn resign(&self) -> bool {
        let mut led = false;
        self.0.send_modify(|term| led = term.until.take().is_some());
        led
    }

    /// Whether it was told to lead, in time or not.
    pub(crate) fn is_told(&self) -> bool {
        self.0.borrow().until.is_some()
    }

    /// Whether it leads at this moment.
    pub(crate) fn is_held(&self) -> bool {
        self.0.borrow().until.is_some_and(|until| Instant::now() < until)
    }
}

/// Whether this instance leads.
#[derive(Debug, Clone)]
pub struct Leadership {
    term: Option<watch::Receiver<Term>>,
}

impl Leadership {
    /// Always: there is no election.
    pub const fn always() -> Self {
        Self { term: None }
    }

    /// Yields whenever this instance comes to lead, also after its time ran out unrenewed: what it
    /// was asked meanwhile, it did not do.
    pub fn gained(&self) -> impl Stream<Item = ()> + Send + use<> {
        let gained = self.term.clone().map(|term| {
            stream::unfold((term, 0), async |(mut term, told): (_, u64)| {
                loop {
                    let now = *watch::Receiver::borrow_and_update(&mut term);
                    if now.until.is_some() && now.number != told {
                        return Some(((), (term, now.number)));
                    }
                    term.changed().await.ok()?;
                }
            })
        });
        match gained {
            Some(gained) => gained.left_stream(),
            None => stream::once(std::future::ready(())).right_stream(),
        }
    }

    /// Whether it leads at this moment.
    pub fn is_held(&self) -> bool {
        let Some(term) = &self.term else { return true };
        let until = term.borrow().until;
        until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_leads_again_after_its_time_ran_out_is_told_so() {
        let (terms, leadership) = Terms::new();
        let mut gained = std::pin::pin!(leadership.gained());
        let mut is_told = || gained.next().now_or_never().flatten().is_some();
        let lead = || terms.lead(Instant::now() + Duration::from_secs(15));
        assert!(!is_told());
        lead();
        assert!(is_told());
        tokio::time::advance(Duration::from_secs(5)).await;
        lead();
        assert!(!is_told(), "a renewal in time");
        tokio::time::advance(Duration::from_secs(16)).await;
        assert!(!leadership.is_held());
        lead();
        assert!(is_told(), "a renewal after a gap");
        terms.resign();
        assert!(!is_told());
        lead();
        assert!(is_told(), "the Lease was somebody else's meanwhile");
        terms.resign();
        lead();
        assert!(is_told(), "nobody looked while it was somebody else's");
    }
}
