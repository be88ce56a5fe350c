//! The shapes of answers about keys.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// Of `GetPrimaryKeys`.
pub fn primary() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// Of the three questions about foreign keys.
pub fn foreign() -> SchemaRef {
    let side = |side: &'static str| {
        [
            ("catalog_name", true),
            ("db_schema_name", true),
            ("table_name", false),
            ("column_name", false),
        ]
        .map(|(name, nullable)| Field::new(format!("{side}_{name}"), DataType::Utf8, nullable))
    };
    let rest = [
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ];
    Arc::new(Schema::new(side("pk").into_iter().chain(side("fk")).chain(rest).collect::<Vec<_>>()))
}

/// Foreign keys are not told: DuckDB does not name the columns on both sides.
pub fn no_foreign() -> RecordBatch {
    RecordBatch::new_empty(foreign())
}
