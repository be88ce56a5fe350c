//! SQL with what is in the claim's secret, as a user's program does it.

use anyhow::{Result, ensure};
use duckworker_e2e::sql::{Access, LongQuery, is_refused, long_query, table};
use k8s_openapi::api::core::v1::Secret;

use crate::ground::Ground;
use crate::show;
use crate::site::Workers;

/// The secret of the claim.
const SECRET: &str = "sample-conn";
/// What is asked of the table that the tenant's activation makes.
const QUESTION: &str =
    "SELECT item, count(*) AS sold, sum(price) AS earned FROM orders GROUP BY item ORDER BY item";
/// So many rows that most of them wait in the worker: a hundred megabytes.
const ROWS: usize = 200_000;

/// A long query that is half-way answered.
pub struct Query(LongQuery);

/// Asks something, shows who is refused, and begins a long query; none without DuckDB.
pub async fn begin(ground: &Ground) -> Result<Option<Query>> {
    if ground.workers() == Workers::StandIns {
        show::step("SQL would come here");
        show::say(
            "NOT SHOWN: there is no DuckDB that could be spoken to; see the notice at the top",
        );
        return Ok(None);
    }
    show::step("SQL over Arrow Flight, with what is in the claim's secret");
    ground.kubectl_shown(&["describe", "secret", SECRET]).await?;
    show_rows(ground).await?;
    let access = access(ground).await?;
    let mut stranger = access.clone().with_token("guessed").connect().await?;
    is_refused(stranger.rows(QUESTION).await)?;
    show::say("the same with another token is refused: UNAUTHENTICATED");
    let query = access.connect().await?.begin(&long_query(ROWS)).await?;
    Ok(Some(Query(query)))
}

/// Asks about the tenant's table and shows the answer.
pub async fn show_rows(ground: &Ground) -> Result<()> {
    let access = access(ground).await?;
    let rows = access.connect().await?.rows(QUESTION).await?;
    show::say(&format!("at {}, as {}:", access.endpoint(), access.server_name()));
    show::sql(QUESTION, &table(&rows)?);
    ensure!(rows.iter().any(|batch| batch.num_rows() > 0), "the tenant's table is empty");
    Ok(())
}

async fn access(ground: &Ground) -> Result<Access> {
    Access::of(&ground.api::<Secret>().get(SECRET).await?)
}

impl Query {
    /// How far it is.
    pub fn tell(&self) {
        show::say(&format!(
            "{} of {ROWS} rows were taken, the worker holds the others",
            self.0.taken()
        ));
    }

    /// Takes the other rows.
    pub async fn finish(self) -> Result<()> {
        let rows = self.0.finish().await?;
        ensure!(rows == ROWS, "{rows} of {ROWS} rows came");
        show::say(&format!("the query has finished: all {rows} rows came"));
        Ok(())
    }
}
