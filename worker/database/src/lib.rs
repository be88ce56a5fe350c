//! A DuckDB database of which the types of a statement's parameters can be asked.
//!
//! The `duckdb` crate binds everything else that the worker needs, but not that one question; and
//! clients such as JDBC drivers refuse to bind a number where they were promised a text. So the
//! database is opened here, through the C interface, and handed to that crate from then on.

mod types;

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr;

use arrow::datatypes::DataType;
use duckdb::{Connection, Error, ffi};

/// An open database.
pub struct Database {
    raw: ffi::duckdb_database,
}

// SAFETY: a database may be used from any thread; DuckDB locks what has to be locked.
unsafe impl Send for Database {}
// SAFETY: as above; nothing here changes the handle but `drop`, which has it alone.
unsafe impl Sync for Database {}

impl Database {
    /// Opens a database file, or one in memory, with settings by name.
    pub fn open(path: Option<&Path>, settings: &[(String, String)]) -> Result<Self, Error> {
        let path = path.map_or_else(|| ":memory:".into(), Path::to_string_lossy);
        let path = CString::new(path.as_bytes())?;
        let config = Config::new(settings)?;
        let (mut raw, mut said) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: all pointers are valid for the call; the path ends with a nul.
        let state =
            unsafe { ffi::duckdb_open_ext(path.as_ptr(), &raw mut raw, config.0, &raw mut said) };
        let message = take(said);
        if state == ffi::DuckDBSuccess { Ok(Self { raw }) } else { Err(failure(state, message)) }
    }

    /// A connection, which has to be closed before the database is.
    pub fn connect(&self) -> Result<Connection, Error> {
        // SAFETY: the handle is that of an open database.
        unsafe { Connection::open_from_raw(self.raw) }
    }

    /// The types of a statement's parameters, as far as they follow from what is committed: of a
    /// temporary table, say, nothing is known here. None at all of a statement that is wrong.
    pub fn parameter_types(&self, statement: &str) -> Vec<Option<DataType>> {
        let Ok(statement) = CString::new(statement) else { return Vec::new() };
        let Some(connection) = RawConnection::open(self) else { return Vec::new() };
        let prepared = Prepared::new(&connection, &statement);
        prepared.map(|prepared| prepared.parameter_types()).unwrap_or_default()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: the handle is valid, and never used again.
        unsafe { ffi::duckdb_close(&raw mut self.raw) };
    }
}

/// Settings, while a database is opened.
struct Config(ffi::duckdb_config);

impl Config {
    fn new(settings: &[(String, String)]) -> Result<Self, Error> {
        let mut raw = ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        let state = unsafe { ffi::duckdb_create_config(&raw mut raw) };
        let config = Self(raw);
        if state != ffi::DuckDBSuccess {
            return Err(failure(state, None));
        }
        for (name, value) in settings {
            let (c_name, value) = (CString::new(name.as_str())?, CString::new(value.as_str())?);
            // SAFETY: the handle is valid; both texts end with a nul.
            let state = unsafe { ffi::duckdb_set_config(raw, c_name.as_ptr(), value.as_ptr()) };
            if state != ffi::DuckDBSuccess {
                return Err(failure(state, Some(format!("DuckDB refuses the setting {name:?}"))));
            }
        }
        Ok(config)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: the handle is valid or null, which DuckDB checks, and never used again.
        unsafe { ffi::duckdb_destroy_config(&raw mut self.0) };
    }
}

/// A connection of our own.
struct RawConnection<'a> {
    raw: ffi::duckdb_connection,
    _database: &'a Database,
}

impl<'a> RawConnection<'a> {
    fn open(database: &'a Database) -> Option<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: the database is open; the pointer is valid for the call.
        let state = unsafe { ffi::duckdb_connect(database.raw, &raw mut raw) };
        (state == ffi::DuckDBSuccess).then_some(Self { raw, _database: database })
    }
}

impl Drop for RawConnection<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is valid, and never used again.
        unsafe { ffi::duckdb_disconnect(&raw mut self.raw) };
    }
}

/// A prepared statement.
struct Prepared<'a> {
    raw: ffi::duckdb_prepared_statement,
    _connection: &'a RawConnection<'a>,
}

impl<'a> Prepared<'a> {
    fn new(connection: &'a RawConnection<'a>, statement: &CStr) -> Option<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: the connection is open; the text ends with a nul.
        let state =
            unsafe { ffi::duckdb_prepare(connection.raw, statement.as_ptr(), &raw mut raw) };
        // Even a failed one has to be destroyed.
        let prepared = Self { raw, _connection: connection };
        (state == ffi::DuckDBSuccess).then_some(prepared)
    }

    fn parameter_types(&self) -> Vec<Option<DataType>> {
        // SAFETY: the statement is valid.
        let count = unsafe { ffi::duckdb_nparams(self.raw) };
        (1..=count).map(|index| self.parameter_type(index)).collect()
    }

    fn parameter_type(&self, index: u64) -> Option<DataType> {
        // SAFETY: the statement is valid; DuckDB checks the index.
        let kind = unsafe { ffi::duckdb_param_type(self.raw, index) };
        if kind != ffi::DUCKDB_TYPE_DUCKDB_TYPE_DECIMAL {
            return types::simple(kind);
        }
        // SAFETY: as above; the type that it answers is ours to destroy.
        let mut logical = unsafe { ffi::duckdb_param_logical_type(self.raw, index) };
        // SAFETY: the type is one of a decimal, as was asked.
        let width = unsafe { ffi::duckdb_decimal_width(logical) };
        // SAFETY: the same.
        let scale = unsafe { ffi::duckdb_decimal_scale(logical) };
        // SAFETY: the type is ours, and never used again.
        unsafe { ffi::duckdb_destroy_logical_type(&raw mut logical) };
        Some(DataType::Decimal128(width, i8::try_from(scale).ok()?))
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is valid or null, which DuckDB checks, and never used again.
        unsafe { ffi::duckdb_destroy_prepare(&raw mut self.raw) };
    }
}

/// A text of DuckDB's, which is freed.
fn take(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: it is no null, so it is a text that ends with a nul.
    let owned = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // SAFETY: DuckDB allocated it for us, and it is never used again.
    unsafe { ffi::duckdb_free(text.cast()) };
    Some(owned)
}

fn failure(state: ffi::duckdb_state, message: Option<String>) -> Error {
    Error::DuckDBFailure(ffi::Error::new(state), message)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn filled() -> Database {
        let database = Database::open(None, &[]).unwrap();
        let script =
            "CREATE TABLE t (id BIGINT, seen TIMESTAMPTZ, price DECIMAL(9, 2), name VARCHAR)";
        database.connect().unwrap().execute_batch(script).unwrap();
        database
    }

    #[test]
    fn parameters_have_the_types_of_what_they_meet() {
        let database = filled();
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let columns = [DataType::Int64, zoned, DataType::Decimal128(9, 2), DataType::Utf8];
        let found = database.parameter_types("INSERT INTO t VALUES (?, ?, ?, ?)");
        assert_eq!(found, columns.map(Some));
        let query = "SELECT id FROM t WHERE price > $2 AND id = $1 LIMIT $3";
        let expected = [DataType::Int64, DataType::Decimal128(9, 2), DataType::Int64];
        assert_eq!(database.parameter_types(query), expected.map(Some));
    }

    #[test]
    fn what_does_not_follow_is_unknown() {
        let database = filled();
        assert_eq!(database.parameter_types("SELECT ?, ? + 1"), [None, None]);
        assert!(database.parameter_types("SELEC ?").is_empty());
        assert!(database.parameter_types("SELECT * FROM nothing WHERE a = ?").is_empty());
        assert!(database.parameter_types("SELECT \0").is_empty());
    }

    #[test]
    fn connections_share_the_database_and_settings_count() {
        let settings = [("threads".to_owned(), "3".to_owned())];
        let database = Database::open(None, &settings).unwrap();
        let (one, other) = (database.connect().unwrap(), database.connect().unwrap());
        one.execute_batch("CREATE TABLE t AS SELECT current_setting('threads')::INT AS n").unwrap();
        let threads = other.query_row("SELECT n FROM t", [], |row| row.get::<_, i32>(0));
        assert_eq!(threads.unwrap(), 3);
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let nowhere = Database::open(Some(Path::new("/no/such/folder/x")), &[]).err().unwrap();
        assert!(nowhere.to_string().contains("/no/such/folder"), "{nowhere}");
        let setting = [("no_such_setting".to_owned(), "1".to_owned())];
        assert!(Database::open(None, &setting).is_err());
    }
}
