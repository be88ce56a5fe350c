//! The engine answers in chunks of 2048 rows. A message for each would cost more than its rows.

use arrow::array::{RecordBatch, StructArray};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

/// When a batch is sent: a message has room for two megabytes.
const BYTES: usize = 1 << 20;
/// No batch has many more rows: a client may hold a few bytes for each.
const ROWS: usize = 128 * 1024;

/// Chunks that wait to become a batch.
pub struct Gathering {
    schema: SchemaRef,
    chunks: Vec<RecordBatch>,
    bytes: usize,
    rows: usize,
}

impl Gathering {
    /// None yet.
    pub fn new(schema: &SchemaRef) -> Self {
        Self { schema: SchemaRef::clone(schema), chunks: Vec::new(), bytes: 0, rows: 0 }
    }

    /// Adds a chunk. A batch, when enough have come together.
    pub fn add(&mut self, chunk: StructArray) -> Result<Option<RecordBatch>, ArrowError> {
        let (_, columns, _) = chunk.into_parts();
        let chunk = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)?;
        self.bytes += chunk.get_array_memory_size();
        self.rows += chunk.num_rows();
        self.chunks.push(chunk);
        if self.bytes < BYTES && self.rows < ROWS {
            return Ok(None);
        }
        self.rest()
    }

    /// What is left.
    pub fn rest(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        (self.bytes, self.rows) = (0, 0);
        let chunks = std::mem::take(&mut self.chunks);
        match chunks.len() {
            0 => Ok(None),
            1 => Ok(chunks.into_iter().next()),
            _ => concat_batches(&self.schema, &chunks).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn chunk(from: i64, rows: i64) -> StructArray {
        let field = Arc::new(Field::new("a", DataType::Int64, true));
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
        StructArray::from(vec![(field, values)])
    }

    #[test]
    fn chunks_come_out_in_order_and_none_is_lost() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let mut gathering = Gathering::new(&schema);
        let mut batches = Vec::new();
        for number in 0..200 {
            batches.extend(gathering.add(chunk(number * 2048, 2048)).unwrap());
        }
        batches.extend(gathering.rest().unwrap());
        assert!(gathering.rest().unwrap().is_none());
        assert!(batches.len() > 1 && batches.len() < 20, "{}", batches.len());
        let all = concat_batches(&schema, &batches).unwrap();
        let expected = Int64Array::from_iter_values(0..200 * 2048);
        assert_eq!(all.column(0).to_data(), expected.to_data());
    }
}
