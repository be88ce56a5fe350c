//! A worker in hand, shared by those who use it and those who end it.

use std::sync::Arc;

use duckworker_core::{Owner, Tenant};
use shuttle::future::{block_on, spawn};

use crate::client::control_plane::holding::{Closed, Gone, Holding};
use crate::stand_in::server::Server;
use crate::store::WorkerStore;

pub const CHECKS: &[(&str, fn())] = &[
    ("nobody begins a session once it is free to be given back", || block_on(given_back())),
    ("one of many ends it, and all are told the same reason", || block_on(ended())),
    ("an end that was given up lets sessions in again, unless another goes on", || {
        block_on(reopened());
    }),
];

async fn holding() -> Arc<Holding> {
    let server = Arc::new(Server::default());
    server.create("w", Owner::new("user:me:1").expect("an owner").as_str());
    let seen = WorkerStore::new(server).observe("n", "w").await.expect("an answer");
    Holding::new(seen.expect("a worker"), Tenant::new("t").expect("a tenant"))
}

/// Two take sessions, one gives the worker back.
async fn given_back() {
    let holding = holding().await;
    let users = [(); 2].map(|()| {
        let holding = Arc::clone(&holding);
        spawn(async move {
            let session = holding.open_session();
            shuttle::future::yield_now().await;
            drop(session);
        })
    });
    holding.close();
    holding.unused().await;
    assert_eq!(holding.sessions(), 0, "somebody uses it");
    shuttle::future::yield_now().await;
    assert!(holding.sessions() == 0 && holding.open_session().is_none(), "it takes new ones");
    for user in users {
        user.await.expect("it ran");
    }
}

async fn ended() {
    let holding = holding().await;
    let enders = [Gone::Released, Gone::Drained].map(|why| {
        let holding = Arc::clone(&holding);
        spawn(async move {
            let first = holding.begin_leaving();
            if first {
                holding.end(why);
            }
            first.then_some(why)
        })
    });
    let waiters = [(); 2].map(|()| {
        let holding = Arc::clone(&holding);
        spawn(async move { holding.gone().await })
    });
    let mut firsts = Vec::new();
    for ender in enders {
        firsts.extend(ender.await.expect("it ran"));
    }
    assert_eq!(firsts.len(), 1, "{firsts:?} all end it");
    for waiter in waiters {
        assert_eq!(Some(waiter.await.expect("it ran")), firsts.first().copied());
    }
}

async fn reopened() {
    let holding = holding().await;
    let waverer = Arc::clone(&holding);
    let given_up = spawn(async move {
        let closed = Closed::new(&waverer);
        waverer.unused().await;
        drop(closed);
    });
    let leaver = Arc::clone(&holding);
    let leaving = spawn(async move { leaver.begin_leaving() });
    given_up.await.expect("it ran");
    assert!(leaving.await.expect("it ran"));
    assert!(holding.open_session().is_none(), "whoever goes on with its end is not held up");
}
