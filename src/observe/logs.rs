//! How logs are written: one line a record, to standard error.

use clap::ValueEnum;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Plain,
    /// For machines: one JSON object a line.
    Json,
}

/// How logs are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// What is logged: directives of `tracing`'s `EnvFilter`.
    pub filter: String,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is malformed.
    #[error("--log-filter is not a list of directives such as \"info,kube_client=debug\"")]
    Filter(#[from] ParseError),
    /// Somebody has set it up before.
    #[error("logging was set up before")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up logging for the whole process; once.
///
/// # Errors
/// When the filter is malformed, or logging is set up already.
pub fn init(settings: &LogSettings) -> Result<(), LogError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.filter)?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let twice = LogError::Twice;
    match settings.format {
        LogFormat::Plain => builder.try_init().map_err(twice),
        LogFormat::Json => builder.json().flatten_event(true).try_init().map_err(twice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_filter_is_refused_with_an_example() {
        let settings = LogSettings { format: LogFormat::Json, filter: "info,=,[".to_owned() };
        let error = init(&settings).unwrap_err();
        assert!(matches!(error, LogError::Filter(_)));
        assert!(error.to_string().contains("kube_client=debug"));
    }
}
