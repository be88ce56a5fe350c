//! What an error of the engine means. DuckDB tells the kind of an error in the first words of its
//! message.

/// The kind of an error, as far as a client acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The statement is wrong: as it stands it will never run.
    Statement,
    /// A value or an object is in the way of the statement.
    Conflict,
    /// Another transaction was in the way; the same may work later.
    Aborted,
    /// The statement names what does not exist.
    Missing,
    /// It is not allowed.
    Forbidden,
    /// Memory, disk or another limit is used up.
    Exhausted,
    /// It was interrupted.
    Interrupted,
    /// The engine cannot do that.
    Unsupported,
    /// A file or a service outside does not answer.
    Outside,
    /// A defect of the engine, which may have broken it.
    Internal,
    /// The engine is broken: only a new process helps.
    Broken,
}

impl Failure {
    /// Reads the kind of error out of a message of DuckDB.
    pub fn of(message: &str) -> Self {
        if message.contains("database has been invalidated") {
            return Self::Broken;
        }
        let kind = message.split_once(':').map_or("", |(kind, _)| kind.trim());
        let kind = kind.strip_suffix(" Error").or_else(|| kind.strip_suffix(" exception"));
        match kind.unwrap_or_default() {
            "FATAL" => Self::Broken,
            "INTERNAL" => Self::Internal,
            "INTERRUPT" => Self::Interrupted,
            "Out of Memory" | "Object Size" => Self::Exhausted,
            "IO" if message.contains("No space left") || message.contains("max_temp_directory") => {
                Self::Exhausted
            }
            "IO" | "HTTP" | "Network" | "Connection" => Self::Outside,
            "Permission" | "Invalid Configuration" => Self::Forbidden,
            "Not implemented" | "Missing Extension" | "Autoloading" => Self::Unsupported,
            "Constraint" | "Dependency" | "Sequence" => Self::Conflict,
            "TransactionContext" if message.contains("Could not write") => Self::Outside,
            "TransactionContext" | "Transaction" => Self::Aborted,
            "Catalog" if message.contains("does not exist") => Self::Missing,
            "Catalog" if message.contains("already exists") => Self::Conflict,
            _ => Self::Statement,
        }
    }

    /// A name for logs, which show no message of the engine: it quotes the statement.
    pub fn name(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Conflict => "conflict",
            Self::Aborted => "aborted",
            Self::Missing => "missing",
            Self::Forbidden => "forbidden",
            Self::Exhausted => "exhausted",
            Self::Interrupted => "interrupted",
            Self::Unsupported => "unsupported",
            Self::Outside => "outside",
            Self::Internal => "internal",
            Self::Broken => "broken",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_tell_the_kind() {
        let cases = [
            ("Parser Error: syntax error at or near \"SELEC\"", Failure::Statement),
            ("Binder Error: Referenced column \"x\" not found", Failure::Statement),
            (
                "Conversion Error: Could not convert string 'IO Error: ' to INT32",
                Failure::Statement,
            ),
            ("Catalog Error: Table with name t does not exist!", Failure::Missing),
            ("Catalog Error: Table with name \"t\" already exists!", Failure::Conflict),
            ("Constraint Error: Duplicate key \"i: 1\"", Failure::Conflict),
            ("TransactionContext Error: Conflict on tuple deletion!", Failure::Aborted),
            ("TransactionContext Error: Failed to commit: Could not write file", Failure::Outside),
            ("Out of Memory Error: failed to allocate data", Failure::Exhausted),
            ("IO Error: Could not write file: No space left on device", Failure::Exhausted),
            ("IO Error: No files found that match", Failure::Outside),
            ("INTERRUPT Error: Interrupted!", Failure::Interrupted),
            ("Permission Error: file system operations are disabled", Failure::Forbidden),
            ("Not implemented Error: x", Failure::Unsupported),
            ("INTERNAL Error: Attempted to access index 3", Failure::Internal),
            ("FATAL Error: Failed: database has been invalidated", Failure::Broken),
            ("IO Error: x: database has been invalidated because of …", Failure::Broken),
            ("something else", Failure::Statement),
        ];
        for (message, failure) in cases {
            assert_eq!(Failure::of(message), failure, "{message}");
        }
    }
}
