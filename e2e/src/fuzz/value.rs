//! Values for a field: the least and the most that its schema allows, and what it must not allow.

use std::fmt;

use serde_json::{Map, Number, Value, json};

/// A value for a field, and what is special about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Special {
    /// What.
    pub level: Level,
    /// The value.
    pub value: Value,
}

/// What is special about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The field is not there.
    Unset,
    /// It is there and says nothing, which counts as not there.
    Null,
    /// The smallest, the shortest, the first.
    Least,
    /// The largest, the longest, the last.
    Most,
    /// One less than the least.
    Below,
    /// One more than the most, or a word that is none of those allowed.
    Above,
    /// Not of the form that a text must have.
    Malformed,
    /// An object with a field that nobody knows.
    Unknown,
    /// A number, a list or a text where something else belongs.
    WrongType,
    /// Another good value after the creation, and then the first one again.
    ChangedBack,
}

impl Level {
    /// Whether the API server has to refuse it, whatever else the object says.
    pub fn must_be_refused(self) -> bool {
        matches!(
            self,
            Self::Below | Self::Above | Self::Malformed | Self::Unknown | Self::WrongType
        )
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset => "unset",
            Self::Null => "null",
            Self::Least => "least",
            Self::Most => "most",
            Self::Below => "below",
            Self::Above => "above",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown-field",
            Self::WrongType => "wrong-type",
            Self::ChangedBack => "changed-back",
        })
    }
}

/// What a schema describes.
enum Sort {
    Whole,
    Truth,
    Text,
    List,
    Map,
    Object,
    WholeOrText,
}

fn sort(schema: &Value) -> Sort {
    match schema["type"].as_str() {
        Some("integer" | "number") => Sort::Whole,
        Some("boolean") => Sort::Truth,
        Some("string") => Sort::Text,
        Some("array") => Sort::List,
        Some(_) if schema["additionalProperties"].is_object() => Sort::Map,
        Some(_) => Sort::Object,
        None => Sort::WholeOrText,
    }
}

/// Every special value of a field of this name, but for those that are changes of a good one.
pub fn specials(schema: &Value, name: &str) -> Vec<Special> {
    let found = match sort(schema) {
        Sort::Whole => whole(schema),
        Sort::Truth => vec![
            (Level::Least, json!(false)),
            (Level::Most, json!(true)),
            (Level::WrongType, json!("true")),
        ],
        Sort::Text => text(schema),
        Sort::List => list(schema, name),
        Sort::Map => map(schema, name),
        Sort::Object => vec![
            (Level::Least, json!({})),
            (Level::Unknown, json!({ "noSuchField": 1 })),
            (Level::WrongType, json!([1])),
        ],
        Sort::WholeOrText => vec![
            (Level::Least, json!(0)),
            (Level::Most, json!("9223372036854775807")),
            (Level::WrongType, json!([1])),
        ],
    };
    let null = [(Level::Null, Value::Null)];
    let found = null.into_iter().chain(found);
    found.map(|(level, value)| Special { level, value }).collect()
}

fn whole(schema: &Value) -> Vec<(Level, Value)> {
    let (least, most) = match schema["format"].as_str() {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let (minimum, maximum) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
    let mut found = vec![
        (Level::Least, json!(minimum.unwrap_or(least))),
        (Level::Most, json!(maximum.unwrap_or(most))),
        (Level::WrongType, json!("1")),
    ];
    found.extend(minimum.map(|minimum| (Level::Below, json!(minimum - 1))));
    found.extend(maximum.map(|maximum| (Level::Above, json!(maximum + 1))));
    found
}

fn text(schema: &Value) -> Vec<(Level, Value)> {
    let mut found = vec![(Level::WrongType, json!(5))];
    if let Some(words) = schema["enum"].as_array() {
        found.extend(words.first().map(|word| (Level::Least, word.clone())));
        found.extend(words.last().map(|word| (Level::Most, word.clone())));
        found.push((Level::Above, json!("NoSuchWord")));
        return found;
    }
    let (least, most) = (length(schema, "minLength"), length(schema, "maxLength"));
    found.push((Level::Least, json!(of_length(schema, least.unwrap_or(0)))));
    found.extend(most.map(|most| (Level::Most, json!(of_length(schema, most)))));
    found.extend(most.map(|most| (Level::Above, json!(of_length(schema, most + 1)))));
    found.extend(least.filter(|least| *least > 0).map(|_| (Level::Below, json!(""))));
    let pattern = schema["pattern"].as_str();
    found.extend(pattern.map(|_| (Level::Malformed, json!(": \u{1f986}\n\u{0}"))));
    found
}

fn list(schema: &Value, name: &str) -> Vec<(Level, Value)> {
    let items = |count: usize| {
        (0..count).map(|number| sound(&schema["items"], name, number)).collect::<Vec<Value>>()
    };
    let mut found = vec![(Level::Least, json!([])), (Level::WrongType, json!("x"))];
    if let Some(most) = length(schema, "maxItems") {
        found.push((Level::Most, json!(items(most))));
        found.push((Level::Above, json!(items(most + 1))));
    }
    found
}

fn map(schema: &Value, name: &str) -> Vec<(Level, Value)> {
    let below = &schema["additionalProperties"];
    let entries = |count: usize| {
        let entry = |number| (format!("example.com/key-{number}"), sound(below, name, number));
        (0..count).map(entry).collect::<Map<String, Value>>()
    };
    let mut found = vec![(Level::Least, json!({})), (Level::WrongType, json!("x"))];
    if let Some(most) = length(schema, "maxProperties") {
        found.push((Level::Most, Value::Object(entries(most))));
        found.push((Level::Above, Value::Object(entries(most + 1))));
    }
    found
}

fn length(schema: &Value, limit: &str) -> Option<usize> {
    schema[limit].as_u64().and_then(|limit| usize::try_from(limit).ok())
}

/// A text of this length that most patterns take.
fn of_length(schema: &Value, length: usize) -> String {
    let text = "x".repeat(length);
    if is_a_path(schema) && length > 0 { format!("/{}", &text[1..]) } else { text }
}

fn is_a_path(schema: &Value) -> bool {
    schema["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("^/"))
}

/// The smallest value that a schema takes, and that differs from its neighbours in a list.
pub fn sound(schema: &Value, name: &str, number: usize) -> Value {
    match sort(schema) {
        Sort::Whole => {
            let (least, most) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
            let one = 1.max(least.unwrap_or(1)).min(most.unwrap_or(1));
            Value::Number(Number::from(one))
        }
        Sort::Truth => json!(false),
        Sort::Text => match schema["enum"].as_array().and_then(|words| words.first()) {
            Some(word) => word.clone(),
            None if name == "image" => json!("example.invalid/x:1"),
            None if is_a_path(schema) || name.ends_with("Path") => json!(format!("/x{number}")),
            None => json!(format!("x{number}")),
        },
        Sort::List => json!([]),
        Sort::Map => json!({}),
        Sort::Object => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields = required.filter_map(Value::as_str).map(|field| {
                (field.to_owned(), sound(&schema["properties"][field], field, number))
            });
            Value::Object(fields.collect())
        }
        Sort::WholeOrText => json!(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(schema: &Value, level: Level) -> Option<Value> {
        let found = specials(schema, "field");
        found.into_iter().find(|special| special.level == level).map(|special| special.value)
    }

    #[test]
    fn numbers_are_tried_at_and_beyond_their_limits() {
        let schema = json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 60 });
        let values =
            [Level::Below, Level::Least, Level::Most, Level::Above].map(|level| at(&schema, level));
        assert_eq!(values, [0, 1, 60, 61].map(|number| Some(json!(number))));
        assert_eq!(at(&schema, Level::WrongType), Some(json!("1")));
        let free = json!({ "type": "integer", "format": "int32" });
        assert_eq!(at(&free, Level::Most), Some(json!(i32::MAX)));
        assert_eq!(at(&free, Level::Above), None, "the schema has no limit that it could break");
    }

    #[test]
    fn texts_are_tried_at_and_beyond_their_length() {
        let schema =
            json!({ "type": "string", "minLength": 2, "maxLength": 4, "pattern": "^/x+$" });
        let values =
            [Level::Below, Level::Least, Level::Most, Level::Above].map(|level| at(&schema, level));
        assert_eq!(values, ["", "/x", "/xxx", "/xxxx"].map(|text| Some(json!(text))));
        assert!(at(&schema, Level::Malformed).is_some());
        let words = json!({ "type": "string", "enum": ["A", "B"] });
        assert_eq!(at(&words, Level::Most), Some(json!("B")));
        assert_eq!(at(&words, Level::Above), Some(json!("NoSuchWord")));
    }

    #[test]
    fn lists_and_maps_are_tried_with_one_too_many() {
        let items = json!({ "type": "object", "required": ["name"],
                            "properties": { "name": { "type": "string" } } });
        let list = json!({ "type": "array", "maxItems": 2, "items": items });
        assert_eq!(at(&list, Level::Most), Some(json!([{ "name": "x0" }, { "name": "x1" }])));
        let above = |schema: &Value| at(schema, Level::Above);
        assert_eq!(above(&list).unwrap().as_array().map(Vec::len), Some(3));
        let map = json!({ "type": "object", "maxProperties": 2,
                          "additionalProperties": { "type": "string" } });
        assert_eq!(above(&map).unwrap().as_object().map(Map::len), Some(3));
    }

    #[test]
    fn an_object_is_tried_empty_and_with_a_field_that_nobody_knows() {
        let schema = json!({ "type": "object", "properties": { "a": { "type": "boolean" } } });
        assert_eq!(at(&schema, Level::Least), Some(json!({})));
        assert_eq!(at(&schema, Level::Unknown), Some(json!({ "noSuchField": 1 })));
        assert!(Level::Unknown.must_be_refused() && !Level::Least.must_be_refused());
    }
}
