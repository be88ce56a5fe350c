//! When an API server can be used.

use std::time::Duration;

use anyhow::{Result, bail};
use kube::Client;

use crate::wait::PATIENCE;

/// Pause between two questions. Only here something is asked again and again: before the server
/// answers there is nothing that could be watched.
const PERIOD: Duration = Duration::from_millis(25);

/// Waits until an API server says that it is ready.
pub(crate) async fn await_api_server(client: &Client) -> Result<()> {
    let mut last = String::new();
    let ready = async {
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            match client.request_text(request).await {
                Ok(_) => return anyhow::Ok(()),
                Err(error) => last = format!("{error:#}"),
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    match tokio::time::timeout(PATIENCE, ready).await {
        Ok(ready) => ready,
        Err(_) => {
            bail!("the API server is not ready after {} s: {last}", PATIENCE.as_secs())
        }
    }
}
