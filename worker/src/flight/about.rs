//! What the server says of itself, and of the types it knows.

use std::sync::LazyLock;

use arrow::error::ArrowError;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlSupportedCaseSensitivity,
    SqlSupportedTransaction, SqlTransactionIsolationLevel, XdbcDataType,
};
use tonic::Status;

/// What clients that speak to databases in general want to know.
pub fn sql_info(engine_version: &str) -> Result<SqlInfoData, Status> {
    let mut about = SqlInfoDataBuilder::new();
    about.append(SqlInfo::FlightSqlServerName, "DuckDB by Duckworker");
    about.append(SqlInfo::FlightSqlServerVersion, engine_version);
    about.append(SqlInfo::FlightSqlServerArrowVersion, "1.5");
    about.append(SqlInfo::FlightSqlServerReadOnly, false);
    about.append(SqlInfo::FlightSqlServerSql, true);
    about.append(SqlInfo::FlightSqlServerSubstrait, false);
    let transactions = SqlSupportedTransaction::Transaction as i32;
    about.append(SqlInfo::FlightSqlServerTransaction, transactions);
    about.append(SqlInfo::FlightSqlServerCancel, true);
    about.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    about.append(SqlInfo::FlightSqlServerStatementTimeout, 0);
    about.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
    language(&mut about);
    abilities(&mut about);
    about.build().map_err(internal)
}

fn language(about: &mut SqlInfoDataBuilder) {
    let insensitive = SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i64;
    about.append(SqlInfo::SqlDdlCatalog, true);
    about.append(SqlInfo::SqlDdlSchema, true);
    about.append(SqlInfo::SqlDdlTable, true);
    about.append(SqlInfo::SqlIdentifierCase, insensitive);
    about.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    about.append(SqlInfo::SqlQuotedIdentifierCase, insensitive);
    about.append(SqlInfo::SqlAllTablesAreSelectable, true);
    about.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedAtEnd as i64);
    about.append(SqlInfo::SqlKeywords, &["PIVOT", "QUALIFY", "SAMPLE", "SUMMARIZE", "UNPIVOT"][..]);
    about.append(SqlInfo::SqlNumericFunctions, &["abs", "ceil", "floor", "power", "round"][..]);
    about.append(SqlInfo::SqlStringFunctions, &["concat", "length", "lower", "trim", "upper"][..]);
    about.append(SqlInfo::SqlSystemFunctions, &["coalesce", "current_database", "ifnull"][..]);
    about.append(SqlInfo::SqlDatetimeFunctions, &["date_part", "date_trunc", "now", "today"][..]);
    about.append(SqlInfo::SqlSearchStringEscape, "\\");
    about.append(SqlInfo::SqlExtraNameCharacters, "");
    about.append(SqlInfo::SqlSchemaTerm, "schema");
    about.append(SqlInfo::SqlProcedureTerm, "macro");
    about.append(SqlInfo::SqlCatalogTerm, "database");
    about.append(SqlInfo::SqlCatalogAtStart, true);
}

fn abilities(about: &mut SqlInfoDataBuilder) {
    let yes = [
        SqlInfo::SqlSupportsColumnAliasing,
        SqlInfo::SqlNullPlusNullIsNull,
        SqlInfo::SqlSupportsTableCorrelationNames,
        SqlInfo::SqlSupportsExpressionsInOrderBy,
        SqlInfo::SqlSupportsOrderByUnrelated,
        SqlInfo::SqlSupportsLikeEscapeClause,
        SqlInfo::SqlSupportsNonNullableColumns,
        SqlInfo::SqlSupportsIntegrityEnhancementFacility,
        SqlInfo::SqlCorrelatedSubqueriesSupported,
        SqlInfo::SqlTransactionsSupported,
        SqlInfo::SqlDataDefinitionCausesTransactionCommit,
    ];
    for ability in yes {
        let causes_commit = ability == SqlInfo::SqlDataDefinitionCausesTransactionCommit;
        about.append(ability, !causes_commit);
    }
    let no = [
        SqlInfo::SqlSupportsDifferentTableCorrelationNames,
        SqlInfo::SqlSelectForUpdateSupported,
        SqlInfo::SqlStoredProceduresSupported,
        SqlInfo::SqlDataDefinitionsInTransactionsIgnored,
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlNamedParametersSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
    ];
    for ability in no {
        about.append(ability, false);
    }
    // Bits of the enumerations of the specification: all kinds of joins, subqueries and unions.
    about.append(SqlInfo::SqlSupportedGroupBy, 0b11);
    about.append(SqlInfo::SqlSupportedGrammar, 0b111);
    about.append(SqlInfo::SqlAnsi92SupportedLevel, 0b111);
    about.append(SqlInfo::SqlOuterJoinsSupportLevel, 0b110);
    about.append(SqlInfo::SqlSchemasSupportedActions, 0b111);
    about.append(SqlInfo::SqlCatalogsSupportedActions, 0b111);
    about.append(SqlInfo::SqlSupportedPositionedCommands, 0);
    about.append(SqlInfo::SqlSupportedSubqueries, 0b1111);
    about.append(SqlInfo::SqlSupportedUnions, 0b11);
    about.append(SqlInfo::SqlSupportedResultSetTypes, 0b10);
    let snapshot = SqlTransactionIsolationLevel::SqlTransactionRepeatableRead;
    about.append(SqlInfo::SqlDefaultTransactionIsolation, snapshot as i64);
    about.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, 1 << (snapshot as i32));
}

/// The types, for clients that choose one by what it can hold.
pub fn type_info() -> Result<&'static XdbcTypeInfoData, Status> {
    static TYPES: LazyLock<Result<XdbcTypeInfoData, FlightError>> = LazyLock::new(build_types);
    TYPES.as_ref().map_err(|error| Status::internal(error.to_string()))
}

fn build_types() -> Result<XdbcTypeInfoData, FlightError> {
    let known = [
        ("BOOLEAN", XdbcDataType::XdbcBit, 1, ""),
        ("TINYINT", XdbcDataType::XdbcTinyint, 3, ""),
        ("SMALLINT", XdbcDataType::XdbcSmallint, 5, ""),
        ("INTEGER", XdbcDataType::XdbcInteger, 10, ""),
        ("BIGINT", XdbcDataType::XdbcBigint, 19, ""),
        ("DECIMAL", XdbcDataType::XdbcDecimal, 38, ""),
        ("FLOAT", XdbcDataType::XdbcFloat, 7, ""),
        ("DOUBLE", XdbcDataType::XdbcDouble, 15, ""),
        ("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX, "'"),
        ("BLOB", XdbcDataType::XdbcVarbinary, i32::MAX, "'"),
        ("DATE", XdbcDataType::XdbcDate, 10, "'"),
        ("TIME", XdbcDataType::XdbcTime, 15, "'"),
        ("TIMESTAMP", XdbcDataType::XdbcTimestamp, 26, "'"),
        ("INTERVAL", XdbcDataType::XdbcInterval, 32, "'"),
    ];
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, kind, size, quote) in known {
        let quote = Some(quote.to_owned()).filter(|quote| !quote.is_empty());
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: kind,
            column_size: Some(size),
            literal_prefix: quote.clone(),
            literal_suffix: quote,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: name == "VARCHAR",
            searchable: Searchable::Full,
            sql_data_type: kind,
            ..XdbcTypeInfo::default()
        });
    }
    types.build()
}

fn internal(error: FlightError) -> Status {
    match error {
        FlightError::Arrow(ArrowError::SchemaError(message)) => Status::internal(message),
        other => Status::internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_can_be_built() {
        let about = sql_info("v1.5.6").unwrap();
        let names = [SqlInfo::FlightSqlServerName as u32, SqlInfo::FlightSqlServerVersion as u32];
        assert_eq!(about.record_batch(names).unwrap().num_rows(), 2);
        assert!(about.record_batch([]).unwrap().num_rows() > 40);
        assert_eq!(type_info().unwrap().record_batch(None).unwrap().num_rows(), 14);
    }
}
