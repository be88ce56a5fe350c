use std::convert::Infallible;
use std::future::{pending, ready};

use http::StatusCode;
use tower::{ServiceExt, service_fn};

use super::*;

fn call(method: &str, uri: &str) -> (&'static str, String) {
    let call = ApiCall::of(&method.parse().unwrap(), &uri.parse().unwrap());
    (call.verb.into(), call.resource)
}

#[test]
fn requests_are_read_as_rbac_reads_them() {
    // Method and path, verb and resource.
    let cases = "
        GET    /apis/duckworker.dev/v1alpha1/namespaces/n/duckworkers/w   get duckworkers
        GET    /apis/duckworker.dev/v1alpha1/namespaces/n/duckworkers     list duckworkers
        GET    /apis/duckworker.dev/v1alpha1/duckworkers?limit=9&watch=1  watch duckworkers
        POST   /apis/duckworker.dev/v1alpha1/namespaces/n/duckworkers     create duckworkers
        PUT    /apis/duckworker.dev/v1alpha1/namespaces/n/duckworkers/w/status? update duckworkers/status
        PATCH  /apis/duckworker.dev/v1alpha1/namespaces/n/duckworkers/w   patch duckworkers
        DELETE /apis/duckworker.dev/v1alpha1/namespaces/n/duckworkers     deletecollection duckworkers
        DELETE /api/v1/namespaces/n/pods/w      delete pods
        GET    /api/v1/pods?&watch=true         watch pods
        GET    /api/v1/nodes/node-a             get nodes
        GET    /api/v1/namespaces               list namespaces
        GET    /api/v1/namespaces/n             get namespaces
        PUT    /api/v1/namespaces/n/finalize    update namespaces/finalize
        PUT    /apis/g/v1/things/a/scale        update things/scale
        GET    /k8s/clusters/c-1/api/v1/secrets list secrets
        GET    /apis/duckworker.dev/v1alpha1    get discovery
        GET    /apis                            get discovery
        GET    /version                         get server
    ";
    for case in cases.lines().map(str::trim).filter(|case| !case.is_empty()) {
        let words: Vec<_> = case.split_whitespace().collect();
        let [method, uri, verb, resource] = words[..] else { panic!("{case}") };
        assert_eq!(call(method, uri), (verb, resource.to_owned()), "{case}");
    }
}

#[test]
fn an_objects_name_is_no_watch() {
    // A proxied path of a pod may hold any query.
    let uri = "/api/v1/namespaces/data/pods/w1/proxy/x?watch=true";
    assert_eq!(call("GET", uri), ("get", "pods/proxy".to_owned()));
}

fn request() -> Request<()> {
    Request::get("/api/v1/namespaces/data/pods/w1").body(()).unwrap()
}

fn counted(metrics: &ApiCallMetrics, code: Code) -> u64 {
    let labels = CallLabels { verb: Verb::Get, resource: "pods".to_owned(), code };
    metrics.calls.get_or_create(&labels).get()
}

#[tokio::test]
async fn answers_are_counted_by_their_code() {
    let metrics = ApiCallMetrics::default();
    let server = service_fn(|_| {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::CONFLICT;
        ready(Ok::<_, Infallible>(response))
    });
    metrics.layer().layer(server).oneshot(request()).await.unwrap();
    assert_eq!(counted(&metrics, Code::Http(409)), 1);
    assert_eq!(counted(&metrics, Code::Abandoned), 0);
}

#[tokio::test]
async fn a_call_without_answer_is_counted_too() {
    let metrics = ApiCallMetrics::default();
    let broken = service_fn(|_| ready(Err::<Response<()>, _>("connection reset")));
    metrics.layer().layer(broken).oneshot(request()).await.unwrap_err();
    assert_eq!(counted(&metrics, Code::Failed), 1);

    let silent = service_fn(|_| pending::<Result<Response<()>, Infallible>>());
    drop(metrics.layer().layer(silent).call(request()));
    assert_eq!(counted(&metrics, Code::Abandoned), 1);
}
