//! What the elector tells of its leadership, and those who act by it hear.

use std::time::Duration;

use futures::StreamExt as _;
use shuttle::future::{block_on, spawn};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::janitor::leadership::Terms;

pub const CHECKS: &[(&str, fn())] = &[
    ("who comes to lead is told so, however quickly it was lost before", || block_on(gained())),
    ("nobody leads once it was resigned", || block_on(resigned())),
];

/// Longer than any run.
const LONG: Duration = Duration::from_hours(1);

fn lead(terms: &Terms) {
    terms.lead(Instant::now() + LONG);
}

/// It leads, loses it, and leads again: the last time is told, after it began.
async fn gained() {
    let (terms, leadership) = Terms::new();
    let (said, hears) = watch::channel(false);
    let listener = {
        let leadership = leadership.clone();
        spawn(async move {
            let mut gained = std::pin::pin!(leadership.gained());
            let (mut times, mut told_last) = (0_u32, false);
            // Ends with the elector.
            while gained.next().await.is_some() {
                times += 1;
                told_last = *hears.borrow();
            }
            (times, told_last)
        })
    };
    let elector = spawn(async move {
        for _ in 0..2 {
            lead(&terms);
            shuttle::future::yield_now().await;
            terms.resign();
        }
        said.send_replace(true);
        lead(&terms);
        shuttle::future::yield_now().await;
        terms
    });
    let terms = elector.await.expect("it ran");
    assert!(leadership.is_held());
    drop(terms);
    let (times, told_last) = listener.await.expect("it ran");
    assert!((1..=3).contains(&times), "told {times} times of three");
    assert!(told_last, "what it was told last was not that it leads now");
}

async fn resigned() {
    let (terms, leadership) = Terms::new();
    lead(&terms);
    let (told, mut hears) = watch::channel(false);
    let reader = {
        let leadership = leadership.clone();
        spawn(async move {
            let resigned = *hears.borrow_and_update();
            let leads = leadership.is_held();
            assert!(!(resigned && leads), "it leads after it resigned");
        })
    };
    let elector = spawn(async move {
        terms.resign();
        told.send_replace(true);
        terms
    });
    let terms = elector.await.expect("it ran");
    assert!(!leadership.is_held());
    reader.await.expect("it ran");
    drop(terms);
}
