//! Arrow values bound to the parameters of a statement.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::array_value_to_string;
use duckdb::types::{Decimal, TimeUnit as DuckTimeUnit, Value};

use super::failure::EngineError;

/// Calls `run` with the values of each row; once without any if there are no parameters.
pub fn each_row(
    batches: &[RecordBatch],
    mut run: impl FnMut(Vec<Value>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    if batches.is_empty() {
        return run(Vec::new());
    }
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(plain).collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            run(columns.iter().map(|column| value(column, row)).collect::<Result<_, _>>()?)?;
        }
    }
    Ok(())
}

/// The column in a type that [`value`] knows.
fn plain(column: &ArrayRef) -> Result<ArrayRef, EngineError> {
    let wanted = match column.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::Utf8 | DataType::Utf8View => DataType::LargeUtf8,
        DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::LargeBinary
        }
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Decimal32(width, scale) | DataType::Decimal64(width, scale) => {
            DataType::Decimal128(*width, *scale)
        }
        DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return Ok(ArrayRef::clone(column)),
    };
    let plain = cast(column, &wanted)?;
    // The values of a dictionary may need the same again.
    if matches!(column.data_type(), DataType::Dictionary(..)) {
        self::plain(&plain)
    } else {
        Ok(plain)
    }
}

fn value(column: &ArrayRef, row: usize) -> Result<Value, EngineError> {
    if column.is_null(row) || column.data_type() == &DataType::Null {
        return Ok(Value::Null);
    }
    let value = match column.data_type() {
        DataType::Boolean => Value::Boolean(column.as_boolean().value(row)),
        DataType::Int8 => Value::TinyInt(column.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => Value::SmallInt(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => Value::Int(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::BigInt(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Value::UTinyInt(column.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => Value::USmallInt(column.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => Value::UInt(column.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => Value::UBigInt(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => Value::Float(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::Double(column.as_primitive::<Float64Type>().value(row)),
        DataType::LargeUtf8 => Value::Text(column.as_string::<i64>().value(row).to_owned()),
        DataType::LargeBinary => Value::Blob(column.as_binary::<i64>().value(row).to_owned()),
        DataType::Date32 => Value::Date32(column.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(_) => {
            let micros = column.as_primitive::<Time64MicrosecondType>().value(row);
            Value::Time64(DuckTimeUnit::Microsecond, micros)
        }
        DataType::Timestamp(_, zone) => {
            timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row), zone.is_some())?
        }
        DataType::Decimal128(width, scale) => {
            decimal(column.as_primitive::<Decimal128Type>().value(row), *width, *scale)?
        }
        DataType::Interval(_) => {
            let interval = column.as_primitive::<IntervalMonthDayNanoType>().value(row);
            Value::Interval {
                months: interval.months,
                days: interval.days,
                nanos: interval.nanoseconds,
            }
        }
        other => return Err(EngineError::Parameter(other.to_string())),
    };
    Ok(value)
}

/// A point in time with a zone is bound as text that says so: bound as a timestamp, the engine
/// would read it in the session's zone.
fn timestamp(micros: i64, has_zone: bool) -> Result<Value, EngineError> {
    if !has_zone {
        return Ok(Value::Timestamp(DuckTimeUnit::Microsecond, micros));
    }
    let utc = TimestampMicrosecondArray::from(vec![micros]);
    Ok(Value::Text(format!("{}+00", array_value_to_string(&utc, 0)?)))
}

fn decimal(value: i128, width: u8, scale: i8) -> Result<Value, EngineError> {
    let unsupported = || EngineError::Parameter(format!("decimal({width}, {scale})"));
    let scale = u8::try_from(scale).map_err(|_| unsupported())?;
    Decimal::new(width, scale, value).map(Value::Decimal).map_err(|_| unsupported())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Decimal128Array, DictionaryArray, Int32Array, NullArray, StringArray, StringViewArray,
        TimestampSecondArray,
    };
    use arrow::datatypes::Int8Type;

    use super::*;

    #[allow(clippy::unwrap_in_result, reason = "the batch is the test's own")]
    fn rows(columns: Vec<ArrayRef>) -> Result<Vec<Vec<Value>>, EngineError> {
        let named = columns.into_iter().enumerate().map(|(n, column)| (n.to_string(), column));
        let batch = RecordBatch::try_from_iter(named).unwrap();
        let mut rows = Vec::new();
        each_row(&[batch], |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    fn one(column: impl Array + 'static) -> Value {
        rows(vec![Arc::new(column)]).unwrap().remove(0).remove(0)
    }

    #[test]
    fn without_parameters_a_statement_runs_once() {
        let mut runs = 0;
        each_row(&[], |values| {
            assert!(values.is_empty());
            runs += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(runs, 1);
    }

    #[test]
    fn each_row_is_a_run() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        assert_eq!(
            rows(vec![numbers, texts]).unwrap(),
            [
                [Value::Int(1), Value::Text("a".to_owned())],
                [Value::Null, Value::Text("b".to_owned())]
            ]
        );
    }

    #[test]
    fn unusual_types_are_bound() {
        assert_eq!(one(NullArray::new(1)), Value::Null);
        assert_eq!(one(StringViewArray::from(vec!["ü"])), Value::Text("ü".to_owned()));
        let dictionary: DictionaryArray<Int8Type> = vec!["x"].into_iter().collect();
        assert_eq!(one(dictionary), Value::Text("x".to_owned()));
        let seconds = TimestampSecondArray::from(vec![1]);
        assert_eq!(one(seconds.clone()), Value::Timestamp(DuckTimeUnit::Microsecond, 1_000_000));
        let zoned = seconds.with_timezone("Asia/Tokyo");
        assert_eq!(one(zoned), Value::Text("1970-01-01T00:00:01+00".to_owned()));
        let decimal = Decimal128Array::from(vec![12345]).with_precision_and_scale(9, 2).unwrap();
        assert_eq!(one(decimal), Value::Decimal(Decimal::new(9, 2, 12345).unwrap()));
    }

    #[test]
    fn what_cannot_be_bound_says_its_type() {
        let list =
            arrow::array::ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        let error = rows(vec![Arc::new(list)]).unwrap_err().to_string();
        assert!(error.contains("List"), "{error}");
    }
}
