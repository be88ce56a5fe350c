//! When a server can be used.

use std::{fmt::Display, time::Duration};

use anyhow::{Result, bail};
use kube::Client;

use crate::wait::PATIENCE;

/// Pause between two questions. Only here something is asked again and again: before the server
/// answers there is nothing that could be watched.
const PERIOD: Duration = Duration::from_millis(25);

/// Waits until an API server says that it is ready.
pub(crate) async fn await_api_server(client: &Client) -> Result<()> {
    until_it_answers("the API server", async || {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        client.request_text(request).await?;
        anyhow::Ok(())
    })
    .await
}

/// Asks a server again and again until it answers well.
pub(crate) async fn until_it_answers<E: Display>(
    server: &str,
    ask: impl AsyncFn() -> Result<(), E>,
) -> Result<()> {
    let mut last = String::new();
    let ready = async {
        while let Err(error) = ask().await {
            last = format!("{error:#}");
            tokio::time::sleep(PERIOD).await;
        }
    };
    if tokio::time::timeout(PATIENCE, ready).await.is_err() {
        bail!("{server} is not ready after {} s: {last}", PATIENCE.as_secs());
    }
    Ok(())
}
