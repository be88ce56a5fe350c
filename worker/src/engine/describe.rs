//! The schema of a statement that has not run. Clients ask for it when they prepare one; what they
//! get later is the schema of the result itself.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use duckdb::types::Value;
use duckdb::{Connection, params_from_iter};

use super::failure::EngineError;
use crate::rules::failure::Failure;
use crate::rules::sql::{self, Kind};

/// What is known of a statement.
#[derive(Debug, Clone)]
pub struct Description {
    /// The columns of its rows; none for a change.
    pub rows: SchemaRef,
    /// Its parameters.
    pub parameters: SchemaRef,
}

/// Describes a statement, which must be one, given what is known of its parameters. Nothing of it runs, but for statements that only tell
/// something (`EXPLAIN`, `PRAGMA`).
pub fn describe(
    connection: &Connection,
    statement: &str,
    types: &[Option<DataType>],
) -> Result<Description, EngineError> {
    if sql::split(statement).count() != 1 {
        let message = "only one statement can be prepared at a time, and it may not be empty";
        let message = message.to_owned();
        return Err(EngineError::Failed { failure: Failure::Statement, message });
    }
    // The engine's own sentence, when the statement is wrong.
    let prepared = connection.prepare(statement)?;
    let names: Vec<String> = (1..=prepared.parameter_count())
        .map(|number| prepared.parameter_name(number))
        .collect::<Result<_, _>>()?;
    drop(prepared);
    let rows = match sql::kind(statement) {
        Kind::Change => Arc::new(Schema::empty()),
        Kind::Rows => rows(connection, statement, names.len()),
    };
    Ok(Description { rows, parameters: parameters(&names, types) })
}

/// The Arrow fields of types that are named in SQL, in the same order.
pub fn fields_of_types(connection: &Connection, types: &[&str]) -> Result<SchemaRef, EngineError> {
    let columns: Vec<_> = types.iter().map(|name| format!("CAST(NULL AS {name})")).collect();
    schema_of(connection, &format!("SELECT {} LIMIT 0", columns.join(", ")), 0)
}

/// As a query of no rows; or by running it, where that does nothing; or else one column that stands
/// for the unknown ones.
fn rows(connection: &Connection, statement: &str, parameters: usize) -> SchemaRef {
    let statement = statement.trim().trim_end_matches(';');
    let none = format!("SELECT * FROM ({statement}\n) LIMIT 0");
    let tells = ["EXPLAIN", "PRAGMA", "SHOW", "DESCRIBE"].iter().any(|word| {
        statement.get(..word.len()).is_some_and(|first| first.eq_ignore_ascii_case(word))
    });
    schema_of(connection, &none, parameters)
        .or_else(
            |error| {
                if tells { schema_of(connection, statement, parameters) } else { Err(error) }
            },
        )
        .unwrap_or_else(|_| Arc::new(Schema::new(vec![Field::new("result", DataType::Utf8, true)])))
}

fn schema_of(
    connection: &Connection,
    statement: &str,
    parameters: usize,
) -> Result<SchemaRef, EngineError> {
    let mut prepared = connection.prepare(statement)?;
    let _ = prepared.stream_arrow(params_from_iter(vec![Value::Null; parameters]))?;
    Ok(prepared.schema())
}

/// A parameter of unknown type is a text, which is cast to what it is compared with or inserted
/// into. A client that binds a value of another type is as welcome.
fn parameters(names: &[String], types: &[Option<DataType>]) -> SchemaRef {
    let known = |index: usize| types.get(index).cloned().flatten().unwrap_or(DataType::Utf8);
    let fields = names.iter().enumerate().map(|(index, name)| Field::new(name, known(index), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (id BIGINT, seen TIMESTAMPTZ, price DECIMAL(9, 2))")
            .unwrap();
        connection
    }

    fn described(statement: &str) -> Description {
        describe(&connection(), statement, &[]).unwrap()
    }

    #[test]
    fn a_query_has_rows_and_parameters() {
        let found = described("SELECT id, seen FROM t WHERE price > $a AND seen < $b -- x;");
        let types: Vec<_> = found.rows.fields().iter().map(|field| field.data_type()).collect();
        assert_eq!(types[0], &DataType::Int64);
        assert!(matches!(types[1], DataType::Timestamp(TimeUnit::Microsecond, Some(_))));
        let names: Vec<_> = found.parameters.fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_change_has_parameters_and_no_rows() {
        let found = described("INSERT INTO t VALUES (?, ?, ?)");
        assert_eq!((found.rows.fields().len(), found.parameters.fields().len()), (0, 3));
    }

    #[test]
    fn statements_that_are_no_subquery_have_rows_too() {
        for statement in ["SHOW TABLES", "PRAGMA version", "EXPLAIN SELECT 1", "DESCRIBE t"] {
            assert!(!described(statement).rows.fields().is_empty(), "{statement}");
        }
        let returning = described("INSERT INTO t (id) VALUES (1) RETURNING id");
        assert_eq!(returning.rows.fields().len(), 1, "stands for the unknown");
    }

    #[test]
    fn nothing_runs() {
        let connection = connection();
        describe(&connection, "INSERT INTO t (id) VALUES (1)", &[]).unwrap();
        describe(&connection, "INSERT INTO t (id) VALUES (1) RETURNING id", &[]).unwrap();
        describe(&connection, "DROP TABLE t", &[]).unwrap();
        let rows = connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(rows.unwrap(), 0);
    }

    #[test]
    fn what_is_wrong_says_so() {
        assert!(
            describe(&connection(), "SELEC 1", &[])
                .unwrap_err()
                .to_string()
                .contains("Parser Error")
        );
        assert!(describe(&connection(), "SELECT 1; SELECT 2", &[]).is_err());
        assert!(describe(&connection(), "SELECT nothing FROM t", &[]).is_err());
        assert!(describe(&connection(), " -- x", &[]).is_err());
    }
}
