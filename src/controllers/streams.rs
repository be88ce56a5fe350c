//! What a channel tells, as a stream that wakes a controller.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc::UnboundedReceiver;

/// A stream of what is told of few objects that many changes concern: each once in so much time.
pub fn told_once<T: PartialEq + Send>(
    receiver: UnboundedReceiver<T>,
    within: Duration,
) -> impl Stream<Item = T> + Send {
    let batches = stream::unfold(receiver, move |mut receiver: UnboundedReceiver<T>| async move {
        let mut batch = vec![receiver.recv().await?];
        tokio::time::sleep(within).await;
        while let Ok(another) = receiver.try_recv() {
            if !batch.contains(&another) {
                batch.push(another);
            }
        }
        Some((stream::iter(batch), receiver))
    });
    batches.flatten()
}

/// A stream of what is told.
pub fn told<T: Send>(receiver: UnboundedReceiver<T>) -> impl Stream<Item = T> + Send {
    stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|value| (value, receiver))
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn what_is_told_often_is_told_once_in_so_much_time() {
        let (tell, told) = unbounded_channel();
        let mut once = std::pin::pin!(told_once(told, WITHIN));
        let begun = tokio::time::Instant::now();
        for pool in ["p", "q", "p", "p", "q"] {
            tell.send(pool).unwrap();
        }
        assert_eq!((once.next().await, once.next().await), (Some("p"), Some("q")));
        assert_eq!(begun.elapsed(), WITHIN);
        // A change that comes while an earlier one is looked at is told again.
        tell.send("p").unwrap();
        assert_eq!(once.next().await, Some("p"));
        assert_eq!(begun.elapsed(), WITHIN * 2);
        let nothing = tokio::time::timeout(WITHIN * 9, once.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_before_the_end_is_not_lost() {
        let (tell, told) = unbounded_channel();
        for pool in ["p", "q", "p"] {
            tell.send(pool).unwrap();
        }
        drop(tell);
        let all: Vec<&str> = told_once(told, WITHIN).collect().await;
        assert_eq!(all, ["p", "q"]);
    }
}
