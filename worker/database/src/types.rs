//! DuckDB's types as Arrow's.

use arrow::datatypes::{DataType, TimeUnit};
use duckdb::ffi;

/// The type that has no parameters of its own; none where clients cannot bind it, or it is unknown.
pub fn simple(kind: ffi::duckdb_type) -> Option<DataType> {
    let data_type = match kind {
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN => DataType::Boolean,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TINYINT => DataType::Int8,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_SMALLINT => DataType::Int16,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_INTEGER => DataType::Int32,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT => DataType::Int64,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UTINYINT => DataType::UInt8,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_USMALLINT => DataType::UInt16,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UINTEGER => DataType::UInt32,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UBIGINT => DataType::UInt64,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_FLOAT => DataType::Float32,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_DOUBLE => DataType::Float64,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR => DataType::Utf8,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BLOB => DataType::Binary,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_DATE => DataType::Date32,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIME => DataType::Time64(TimeUnit::Microsecond),
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP
        | ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_S
        | ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_MS
        | ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_NS => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_TZ => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        _ => return None,
    };
    Some(data_type)
}
