//! The body of a watch: events as they happen, a little later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::unfold;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tower::BoxError;

use crate::core::{Core, Stuck};
use crate::service::unreachable;
use crate::watch::Subscription;

/// The body of an answer.
pub type StreamBody = UnsyncBoxBody<Bytes, BoxError>;

/// How often a quiet watch says how far it got.
const BOOKMARK: Duration = Duration::from_mins(1);

struct Follower {
    core: Arc<Core>,
    /// Any of these holds it up.
    stuck: [Stuck; 2],
    subscription: Subscription,
    moved: watch::Receiver<u64>,
    down: watch::Receiver<bool>,
    ready: VecDeque<Value>,
    deadline: Instant,
    bookmark: Instant,
    over: bool,
}

/// Follows a subscription of this pod, if it is one's, until its time is up.
pub fn follow(core: Arc<Core>, mut subscription: Subscription, pod: Option<&str>) -> StreamBody {
    let now = Instant::now();
    let stuck = |pod| Stuck { collection: subscription.collection.clone(), pod };
    let follower = Follower {
        stuck: [stuck(None), stuck(pod.map(str::to_owned))],
        moved: core.moved.subscribe(),
        down: core.down.subscribe(),
        ready: subscription.begin().into(),
        deadline: now + subscription.time,
        bookmark: now + BOOKMARK,
        over: false,
        subscription,
        core,
    };
    let frames = unfold(follower, |mut follower| async {
        let frame = follower.frame().await?;
        Some((frame, follower))
    });
    http_body_util::StreamBody::new(frames).boxed_unsync()
}

impl Follower {
    /// The next piece of the stream; none at its end.
    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                // The type first, as the API server writes it: a reader may rely on that.
                let (kind, object) = (&event["type"], &event["object"]);
                let line = format!("{{\"type\":{kind},\"object\":{object}}}\n");
                return Some(Ok(Frame::data(Bytes::from(line))));
            }
            if self.over {
                return None;
            }
            if *self.down.borrow() {
                self.over = true;
                return Some(Err(unreachable()));
            }
            self.gather().await;
        }
    }

    /// Waits until there is something to deliver, or to end for.
    async fn gather(&mut self) {
        self.moved.mark_unchanged();
        let stuck = self.is_stuck();
        if !stuck {
            match self.core.step(|server| self.subscription.next(&server.store)) {
                Err(end) => {
                    self.ready.push_back(end);
                    self.over = true;
                    return;
                }
                Ok(events) if !events.is_empty() => {
                    self.ready.extend(events);
                    let delay = self.core.watch_delay();
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    return;
                }
                Ok(_) => {}
            }
        }
        let mut freed = self.core.stuck.subscribe();
        tokio::select! {
            biased;
            _ = self.down.changed() => {}
            _ = self.moved.changed(), if !stuck => {}
            _ = freed.changed() => {}
            () = tokio::time::sleep_until(self.deadline) => self.close(),
            () = tokio::time::sleep_until(self.bookmark) => self.tell(),
        }
    }

    fn is_stuck(&self) -> bool {
        let all = self.core.stuck.borrow();
        self.stuck.iter().any(|stuck| all.contains(stuck))
    }

    fn close(&mut self) {
        self.tell();
        self.over = true;
    }

    fn tell(&mut self) {
        self.bookmark = Instant::now() + BOOKMARK;
        if self.subscription.bookmarks {
            self.ready.push_back(self.subscription.bookmark());
        }
    }
}
