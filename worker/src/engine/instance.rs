//! The database of the process, and whether it still answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::datatypes::DataType;
use duckdb::Connection;
use duckworker_database::Database;

use super::failure::EngineError;
use crate::rules::bodies::Secret;
use crate::rules::failure::Failure;

/// How the engine is set up. Memory and threads are DuckDB's own business, which reads the limits
/// of the container; what stands here goes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineSettings {
    /// The database file; in memory if unset.
    pub database: Option<std::path::PathBuf>,
    /// The folder for what does not fit into memory.
    pub spill_folder: Option<std::path::PathBuf>,
    /// The memory limit, such as `2GB`; four fifths of the container's if unset.
    pub memory_limit: Option<String>,
    /// The number of threads; the container's if unset.
    pub threads: Option<u32>,
    /// Further settings of DuckDB, by name.
    pub others: Vec<(String, String)>,
}

/// An activation statement that failed: which one, and nothing of its text. DuckDB's message may
/// quote it, so it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementFailed {
    /// Its number in the payload, from 1.
    pub number: usize,
    /// The kind of the failure.
    pub failure: Failure,
}

/// One DuckDB.
pub struct Instance {
    database: Database,
    started: Instant,
    version: String,
    broken: AtomicBool,
    /// When it last answered, in milliseconds after the start.
    answered: AtomicU64,
}

impl Instance {
    /// Opens the database.
    pub fn open(settings: &EngineSettings) -> Result<Arc<Self>, EngineError> {
        let database = Database::open(settings.database.as_deref(), &listed(settings))?;
        let version = database.connect()?.version()?;
        Ok(Arc::new(Self {
            database,
            started: Instant::now(),
            version,
            broken: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        }))
    }

    /// A connection of its own.
    pub fn connect(&self) -> Result<Connection, EngineError> {
        self.database.connect().map_err(|error| self.note(error.into()))
    }

    /// The types of a statement's parameters, as far as they are known.
    pub fn parameter_types(&self, statement: &str) -> Vec<Option<DataType>> {
        self.database.parameter_types(statement)
    }

    /// The version of DuckDB, such as `v1.5.6`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How long the process has run.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether the engine broke: from then on every statement fails.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// How long ago it last answered `SELECT 1`.
    pub fn answer_age(&self) -> Duration {
        self.uptime().saturating_sub(Duration::from_millis(self.answered.load(Ordering::Relaxed)))
    }

    /// Takes notice of an error, and hands it on.
    pub fn note(&self, error: EngineError) -> EngineError {
        if let EngineError::Failed { failure: Failure::Broken, .. } = error
            && !self.broken.swap(true, Ordering::Relaxed)
        {
            tracing::error!("the engine is broken; this worker has to be replaced");
        }
        error
    }

    /// Asks the engine for something trivial, for as long as the process lives. A broken engine
    /// refuses even that; a busy one answers late. Nobody waits for this.
    pub async fn probe_for_ever(self: Arc<Self>, every: Duration) {
        loop {
            let probed = Arc::clone(&self);
            // A thread that dies has shown nothing about the engine.
            let _ = tokio::task::spawn_blocking(move || probed.probe()).await;
            tokio::time::sleep(every).await;
        }
    }

    fn probe(&self) {
        let answer = self.connect().and_then(|connection| {
            connection
                .query_row("SELECT 1", [], |row| row.get::<_, i32>(0))
                .map_err(|error| self.note(error.into()))
        });
        if answer.is_ok() {
            let now = u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX);
            self.answered.store(now, Ordering::Relaxed);
        }
    }

    /// Runs statements of an activation in order, on a connection of their own: sessions that are
    /// open go on. Blocks.
    pub fn activate(&self, statements: &[(usize, Secret)]) -> Result<(), StatementFailed> {
        let failed = |number, error: EngineError| {
            let failure = match self.note(error) {
                EngineError::Failed { failure, .. } => failure,
                _ => Failure::Internal,
            };
            StatementFailed { number, failure }
        };
        let first = statements.first().map_or(1, |(index, _)| index + 1);
        let connection = self.connect().map_err(|error| failed(first, error))?;
        for (index, statement) in statements {
            connection
                .execute_batch(statement.text())
                .map_err(|error| failed(index + 1, error.into()))?;
        }
        Ok(())
    }
}

fn listed(settings: &EngineSettings) -> Vec<(String, String)> {
    let folder = settings.spill_folder.as_ref().map(|folder| folder.to_string_lossy().into_owned());
    let own = [
        ("duckdb_api", Some("duckworker".to_owned())),
        ("max_memory", settings.memory_limit.clone()),
        ("threads", settings.threads.map(|threads| threads.to_string())),
        ("temp_directory", folder),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    own.chain(settings.others.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Arc<Instance> {
        Instance::open(&EngineSettings::default()).unwrap()
    }

    fn secrets(statements: &[&str]) -> Vec<(usize, Secret)> {
        statements.iter().map(|text| Secret::from((*text).to_owned())).enumerate().collect()
    }

    #[test]
    fn settings_reach_the_engine() {
        let settings = EngineSettings {
            memory_limit: Some("100MB".to_owned()),
            threads: Some(3),
            others: vec![("default_null_order".to_owned(), "nulls_first".to_owned())],
            ..EngineSettings::default()
        };
        let instance = Instance::open(&settings).unwrap();
        let setting = |name: &str| {
            let sql = format!("SELECT current_setting('{name}')::VARCHAR");
            let answer = instance.connect().unwrap().query_row(&sql, [], |row| row.get(0));
            answer.map(|value: String| value.to_ascii_lowercase()).unwrap()
        };
        assert_eq!(setting("threads"), "3");
        assert_eq!(setting("memory_limit"), "95.3 mib");
        assert_eq!(setting("default_null_order"), "nulls_first");
        let wrong = EngineSettings {
            others: vec![("no_such_setting".to_owned(), "1".to_owned())],
            ..EngineSettings::default()
        };
        assert!(Instance::open(&wrong).is_err());
    }

    #[test]
    fn activation_statements_run_in_order_and_the_failing_one_is_named_by_number() {
        let instance = open();
        let good = secrets(&["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)"]);
        assert_eq!(instance.activate(&good), Ok(()));
        let bad = secrets(&["INSERT INTO t VALUES (2)", "SELEC 'hunter2'", "DROP TABLE t"]);
        let failed = instance.activate(&bad).unwrap_err();
        assert_eq!(failed, StatementFailed { number: 2, failure: Failure::Statement });
        assert!(!format!("{failed:?}").contains("hunter2"));
        let rows = instance
            .connect()
            .unwrap()
            .query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(rows.unwrap(), 2, "what came before the failure stays, what comes after not");
    }

    #[test]
    fn a_broken_engine_is_remembered() {
        let instance = open();
        assert!(!instance.is_broken());
        let usual = EngineError::from(duckdb::Error::QueryReturnedNoRows);
        let _ = instance.note(usual);
        assert!(!instance.is_broken());
        let message = "FATAL Error: Failed: database has been invalidated".to_owned();
        let _ = instance.note(EngineError::Failed { failure: Failure::of(&message), message });
        assert!(instance.is_broken());
    }
}
