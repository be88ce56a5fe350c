//! The book of slots, and the path that all transitions take over it.

use std::sync::Arc;

use duckworker_core::{Note, Owner, Uid};
use shuttle::future::{block_on, spawn};
use tokio::sync::oneshot;

use crate::instance::Instance;
use crate::lifecycle::WorkerLifecycle;
use crate::outcome::{Origin, Outcome};
use crate::stand_in::server::{Fate, Server};
use crate::store::WorkerStore;
use crate::token::{WorkerLease, WorkerSnapshot};

pub const CHECKS: &[(&str, fn())] = &[
    ("who asks for a lease once a refresh has landed gets the new one", || {
        block_on(readers_of_a_refresh(vec![]));
    }),
    ("the same when its answer is lost", || {
        block_on(readers_of_a_refresh(vec![Fate::AnswerLost, Fate::AnswerLost]));
    }),
    ("the same when it comes late", || block_on(readers_of_a_refresh(vec![Fate::Late]))),
    ("a refresh that is refused changes nothing", || block_on(refused())),
    ("a refresh that is dropped half-way is settled by whoever asks next", || block_on(dropped())),
    ("a refresh of one worker keeps nobody from another", || block_on(side_by_side())),
    ("what we wrote is never seen older than we wrote it", || block_on(own_writes())),
    ("what is written by the newest lease misses no refresh of ours", || block_on(newest_lease())),
    ("a worker that goes is forgotten, whoever is at it", || block_on(forgotten())),
];

const OWNER: &str = "user:me:1";

/// An instance that holds these workers, and the server.
struct Scene {
    server: Arc<Server>,
    lifecycle: WorkerLifecycle,
}

impl Scene {
    async fn with(workers: &[&str]) -> Self {
        let server = Arc::new(Server::default());
        let owner = Owner::new(OWNER).expect("an owner");
        let store = WorkerStore::new(Arc::clone(&server));
        let lifecycle = WorkerLifecycle::new(store, Arc::new(Instance(owner)));
        let scene = Self { server, lifecycle };
        for worker in workers {
            scene.server.create(worker, OWNER);
            let seen = scene.see(worker).await;
            // The slot is made, and the lease is recognised in what stands there.
            drop(scene.lifecycle.slot(&uid(worker)).await);
            let _ = scene.lifecycle.newest(&seen).await.expect("an answer");
        }
        scene
    }

    async fn see(&self, worker: &str) -> WorkerSnapshot {
        let seen = self.lifecycle.store().observe("n", worker).await;
        seen.expect("an answer").expect("a worker")
    }

    async fn lease(&self, worker: &str) -> WorkerLease {
        held(&self.lifecycle, worker).await.expect("a lease")
    }
}

fn uid(worker: &str) -> Uid {
    Uid::new(worker).expect("a uid")
}

async fn held(lifecycle: &WorkerLifecycle, worker: &str) -> Option<WorkerLease> {
    lifecycle.lease(&uid(worker)).await.expect("an answer")
}

/// Two ask for the lease while it is refreshed: never is it older than what stood there before they
/// asked.
async fn readers_of_a_refresh(fates: Vec<Fate>) {
    let scene = Scene::with(&["w"]).await;
    let lease = scene.lease("w").await;
    scene.server.prepare("w", fates);
    let lifecycle = scene.lifecycle.clone();
    let refresh = spawn(async move { lifecycle.refresh_lease(&lease).await });
    let readers = [(); 2].map(|()| {
        let (lifecycle, server) = (scene.lifecycle.clone(), Arc::clone(&scene.server));
        spawn(async move {
            let before = server.epoch("w");
            let lease = held(&lifecycle, "w").await.expect("a lease");
            let after = server.epoch("w");
            let epoch = lease.epoch().get();
            assert!((before..=after).contains(&epoch), "{epoch} is not in {before}..={after}");
        })
    });
    let refreshed = refresh.await.expect("it ran").expect("an answer");
    let Outcome::Transitioned(newest) = refreshed else { panic!("it missed") };
    assert_eq!(newest.epoch().get(), 2);
    for reader in readers {
        reader.await.expect("it ran");
    }
    assert_eq!((scene.lease("w").await.epoch().get(), scene.server.epoch("w")), (2, 2));
}

async fn refused() {
    let scene = Scene::with(&["w"]).await;
    let lease = scene.lease("w").await;
    scene.server.prepare("w", [Fate::Refused]);
    let lifecycle = scene.lifecycle.clone();
    let refresh = spawn(async move { lifecycle.refresh_lease(&lease).await.is_err() });
    let lifecycle = scene.lifecycle.clone();
    let reader = spawn(async move { held(&lifecycle, "w").await.expect("a lease").epoch().get() });
    assert!(refresh.await.expect("it ran"), "it was refused");
    assert_eq!(reader.await.expect("it ran"), 1);
    assert_eq!((scene.lease("w").await.epoch().get(), scene.server.epoch("w")), (1, 1));
    // And it stands in nobody's way.
    let lease = scene.lease("w").await;
    let again = scene.lifecycle.refresh_lease(&lease).await.expect("an answer");
    assert!(matches!(again, Outcome::Transitioned(lease) if lease.epoch().get() == 2));
}

/// Dropped at any await: it landed or it did not, and the lease says which.
async fn dropped() {
    let scene = Scene::with(&["w"]).await;
    let lease = scene.lease("w").await;
    scene.server.prepare("w", [Fate::Late]);
    let lifecycle = scene.lifecycle.clone();
    let refresh = spawn(async move { lifecycle.refresh_lease(&lease).await.map(drop).is_ok() });
    shuttle::future::yield_now().await;
    refresh.abort();
    let (lifecycle, server) = (scene.lifecycle.clone(), Arc::clone(&scene.server));
    let reader = spawn(async move {
        let before = server.epoch("w");
        let epoch = held(&lifecycle, "w").await.expect("a lease").epoch().get();
        assert!((before..=server.epoch("w")).contains(&epoch), "{epoch} is older than {before}");
    });
    reader.await.expect("it ran");
    // It has ended by now, dropped or done.
    let _ = refresh.await;
    let lease = scene.lease("w").await;
    assert_eq!(lease.epoch().get(), scene.server.epoch("w"), "the lease is not what stands there");
    // Nothing is on its way any more: the next one is the next epoch.
    let next = scene.lifecycle.refresh_lease(&lease).await.expect("an answer");
    let Outcome::Transitioned(next) = next else { panic!("it missed: {next:?}") };
    assert_eq!(next.epoch().get(), lease.epoch().get() + 1);
    assert_eq!(scene.server.epoch("w"), next.epoch().get());
}

/// One write is answered only after another worker was refreshed.
async fn side_by_side() {
    let scene = Scene::with(&["slow", "quick"]).await;
    let (done, until) = oneshot::channel::<()>();
    let until = async move { drop(until.await) };
    scene.server.prepare("slow", [Fate::Waits(Box::pin(until))]);
    let refreshes = ["slow", "quick"].map(|name| {
        let lifecycle = scene.lifecycle.clone();
        async move {
            let lease = held(&lifecycle, name).await.expect("a lease");
            lifecycle.refresh_lease(&lease).await.expect("an answer").transitioned().is_some()
        }
    });
    let [slow, quick] = refreshes;
    let slow = spawn(slow);
    let quick = spawn(async move {
        let won = quick.await;
        let _ = done.send(());
        won
    });
    // All at once: the busy one is left out, and nobody waits for it.
    let own = scene.lifecycle.own(|_| true);
    assert!(own.len() <= 2);
    assert!(quick.await.expect("it ran") && slow.await.expect("it ran"));
}

/// A cache shows old versions while we write.
async fn own_writes() {
    let scene = Scene::with(&["w"]).await;
    let old = scene.see("w").await;
    let lifecycle = scene.lifecycle.clone();
    let writer = spawn(async move {
        for _ in 0..2 {
            let lease = held(&lifecycle, "w").await.expect("a lease");
            let _ = lifecycle.refresh_lease(&lease).await.expect("an answer");
        }
    });
    let looks = [(); 2].map(|()| {
        let (lifecycle, server) = (scene.lifecycle.clone(), Arc::clone(&scene.server));
        let old = old.clone();
        spawn(async move {
            let before = server.version("w");
            let seen = lifecycle.newest(&old).await.expect("an answer");
            let version: u64 = seen.version().as_str().parse().expect("a number");
            assert!(version >= before, "{version} was seen after {before}");
            lifecycle.learn(&old).await;
        })
    });
    writer.await.expect("it ran");
    for look in looks {
        look.await.expect("it ran");
    }
    assert_eq!(scene.lease("w").await.epoch().get(), 3);
}

/// A refresh comes between the reading of a lease and its use, once or twice.
async fn newest_lease() {
    let scene = Scene::with(&["w"]).await;
    let lifecycle = scene.lifecycle.clone();
    let refresher = spawn(async move {
        let lease = held(&lifecycle, "w").await.expect("a lease");
        let _ = lifecycle.refresh_lease(&lease).await.expect("an answer");
    });
    let lifecycle = scene.lifecycle.clone();
    let user = spawn(async move {
        let note = |lease: WorkerLease| {
            let lifecycle = lifecycle.clone();
            async move { lifecycle.note(&lease, Note::default(), Origin::Library).await }
        };
        lifecycle.by_newest_lease(&uid("w"), note).await.expect("an answer")
    });
    let noted = user.await.expect("it ran");
    assert!(matches!(noted, Outcome::Transitioned(_)), "it missed, though the worker is ours");
    refresher.await.expect("it ran");
}

async fn forgotten() {
    let scene = Scene::with(&["w"]).await;
    let mut holds = scene.lifecycle.holds();
    let lifecycle = scene.lifecycle.clone();
    let reader = spawn(async move { drop(held(&lifecycle, "w").await) });
    scene.lifecycle.forget(&uid("w"));
    holds.wait_for(|held| *held == 0).await.expect("the book is there");
    reader.await.expect("it ran");
    assert!(held(&scene.lifecycle, "w").await.is_none());
}
