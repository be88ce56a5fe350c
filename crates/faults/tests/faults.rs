//! Each fault, on a toy server that counts what it applied.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use duckworker_faults::{Fault, Faults, Meanwhile, Refusal, Verb, Which};
use http::{Request, Response};
use http_body_util::Full;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, PostParams};
use kube::client::{Body, ClientBuilder};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
struct Toy {
    applied: Arc<Mutex<Vec<String>>>,
}

impl Toy {
    fn client(&self, faults: &Faults) -> Api<ConfigMap> {
        let toy = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let toy = toy.clone();
            async move { Ok::<_, std::io::Error>(toy.answer(&request)) }
        });
        let client = ClientBuilder::new(service, "ns").with_layer(&faults.layer()).build();
        Api::default_namespaced(client)
    }

    fn answer(&self, request: &Request<Body>) -> Response<Full<Bytes>> {
        let mut applied = self.applied.lock().unwrap();
        applied.push(request.method().to_string());
        let object =
            format!(r#"{{"metadata":{{"name":"n","resourceVersion":"{}"}}}}"#, applied.len());
        Response::new(Full::new(Bytes::from(object)))
    }

    fn count(&self) -> usize {
        self.applied.lock().unwrap().len()
    }
}

async fn create(api: &Api<ConfigMap>) -> kube::Result<ConfigMap> {
    let object =
        serde_json::from_value(serde_json::json!({ "metadata": { "name": "n" } })).unwrap();
    api.create(&PostParams::default(), &object).await
}

/// One create under one fault: what the client got within a minute, and how often it was applied
/// by then.
async fn one(fault: Fault) -> (Option<kube::Result<ConfigMap>>, usize) {
    let toy = Toy::default();
    let api = toy.client(&Faults::at(1, fault));
    let answer = timeout(60 * SECOND, create(&api)).await.ok();
    (answer, toy.count())
}

fn code(answer: Option<kube::Result<ConfigMap>>) -> u16 {
    match answer {
        Some(Err(kube::Error::Api(status))) => status.code,
        other => panic!("no refusal: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn requests_and_answers_get_lost() {
    let (answer, applied) = one(Fault::LoseRequest).await;
    assert!(matches!(answer, Some(Err(kube::Error::Service(_)))), "{answer:?}");
    assert_eq!(applied, 0);
    let (answer, applied) = one(Fault::LoseAnswer).await;
    assert!(matches!(answer, Some(Err(kube::Error::Service(_)))), "{answer:?}");
    assert_eq!(applied, 1);
    let (answer, applied) = one(Fault::CutAnswer).await;
    assert!(matches!(answer, Some(Err(_))), "{answer:?}");
    assert_eq!(applied, 1);
    let (answer, applied) = one(Fault::Hang).await;
    assert!(answer.is_none());
    assert_eq!(applied, 0);
    let (answer, applied) = one(Fault::HangAfter).await;
    assert!(answer.is_none());
    assert_eq!(applied, 1);
}

#[tokio::test(start_paused = true)]
async fn refusals_have_their_code_and_may_be_lies() {
    for refusal in Refusal::ERRORS {
        let (answer, applied) = one(Fault::Refuse(refusal)).await;
        assert_eq!((code(answer), applied), (refusal.code(), 0));
        let (answer, applied) = one(Fault::RefuseAfter(refusal)).await;
        assert_eq!((code(answer), applied), (refusal.code(), 1));
    }
    let (answer, applied) = one(Fault::Refuse(Refusal::TooManyRequests { retry_after: 7 })).await;
    let Some(Err(kube::Error::Api(status))) = answer else { panic!("no refusal") };
    assert_eq!(status.details.map(|details| details.retry_after_seconds), Some(7));
    assert_eq!((status.code, applied), (429, 0));
}

#[tokio::test(start_paused = true)]
async fn a_late_request_arrives_although_its_sender_gave_up() {
    for meanwhile in [Meanwhile::Breaks, Meanwhile::Silent] {
        let toy = Toy::default();
        let api = toy.client(&Faults::at(1, Fault::Late(10 * SECOND, meanwhile)));
        let gave_up = timeout(SECOND, create(&api)).await.is_err();
        assert_eq!(gave_up, meanwhile == Meanwhile::Silent);
        assert_eq!(toy.count(), 0);
        tokio::time::sleep(11 * SECOND).await;
        assert_eq!(toy.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_request_waits_for_its_release() {
    let toy = Toy::default();
    let faults = Faults::at(1, Fault::Held(Meanwhile::Breaks));
    let api = toy.client(&faults);
    create(&api).await.unwrap_err();
    tokio::time::sleep(3600 * SECOND).await;
    assert_eq!(toy.count(), 0);
    faults.release();
    tokio::time::sleep(SECOND).await;
    assert_eq!(toy.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_doubled_request_is_applied_twice() {
    let version = |answer: Option<kube::Result<ConfigMap>>| {
        answer.unwrap().unwrap().metadata.resource_version.unwrap()
    };
    let (answer, applied) = one(Fault::Twice(Which::First)).await;
    assert_eq!((version(answer).as_str(), applied), ("1", 2));
    let (answer, applied) = one(Fault::Twice(Which::Second)).await;
    assert_eq!((version(answer).as_str(), applied), ("2", 2));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_says_nothing_more() {
    for (fault, applied) in [(Fault::StopBefore, 0), (Fault::StopAfter, 1)] {
        let toy = Toy::default();
        let faults = Faults::at(2, fault).counting(|call| call.verb == Verb::Create);
        let api = toy.client(&faults);
        api.get("n").await.unwrap();
        create(&api).await.unwrap();
        assert!(!faults.stopped().is_cancelled());
        let doomed = timeout(SECOND, create(&api)).await;
        assert!(doomed.is_err() && faults.stopped().is_cancelled());
        assert!(timeout(SECOND, api.delete("n", &DeleteParams::default())).await.is_err());
        assert_eq!(toy.count(), 2 + applied);
        let numbers: Vec<_> = faults.records().iter().map(|record| record.number).collect();
        assert_eq!(numbers, [None, Some(1), Some(2)]);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_takes_its_time_both_ways() {
    let start = Instant::now();
    let (answer, _) = one(Fault::Slow(SECOND)).await;
    assert!(answer.unwrap().is_ok());
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_faults() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let faults = Faults::chance(7, 0.3, Fault::survivable(SECOND));
        let api = Toy::default().client(&faults);
        for _ in 0..50 {
            let _ = timeout(SECOND, create(&api)).await;
        }
        runs.push(faults.records());
    }
    assert_eq!(runs[0], runs[1]);
    let struck = runs[0].iter().filter(|record| record.fault.is_some()).count();
    assert!((5..30).contains(&struck), "{struck}");
}

#[tokio::test(start_paused = true)]
async fn healing_ends_the_faults() {
    let toy = Toy::default();
    let faults = Faults::by(|_, _: &_| Some(Fault::LoseRequest));
    let api = toy.client(&faults);
    create(&api).await.unwrap_err();
    faults.heal();
    create(&api).await.unwrap();
    assert_eq!(toy.count(), 1);
}
