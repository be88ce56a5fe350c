//! A structural schema, parsed once.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// One node of a schema.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "the schema has these switches")]
pub struct Node {
    /// `object`, `string`, …; empty where any is fine.
    pub kind: String,
    /// Null is a value.
    pub nullable: bool,
    /// An integer or a string.
    pub int_or_string: bool,
    /// Unknown fields are kept.
    pub open: bool,
    /// The known fields.
    pub properties: BTreeMap<String, Self>,
    /// The values of a map.
    pub additional: Option<Box<Self>>,
    /// The items of a list.
    pub items: Option<Box<Self>>,
    /// The fields that must be there.
    pub required: Vec<String>,
    /// Filled in where the field is missing.
    pub default: Option<Value>,
    /// The only values.
    pub values: Vec<Value>,
    /// The format of a string.
    pub format: String,
    /// The pattern of a string.
    pub pattern: Option<Regex>,
    /// Least and most number.
    pub range: Limits<f64>,
    /// Least and most length of a string.
    pub length: Limits<u64>,
    /// Least and most items of a list.
    pub count: Limits<u64>,
    /// Least and most entries of a map.
    pub entries: Limits<u64>,
    /// By which keys the items of a list are told apart; empty for plain lists.
    pub list_keys: Vec<String>,
    /// The items of a list are told apart as a whole.
    pub is_set: bool,
}

/// Least and most.
#[derive(Debug, Clone, Copy)]
pub struct Limits<T> {
    /// At least this.
    pub least: Option<T>,
    /// At most this.
    pub most: Option<T>,
}

impl<T> Default for Limits<T> {
    fn default() -> Self {
        Self { least: None, most: None }
    }
}

impl Node {
    /// Parses a schema.
    pub fn new(schema: &Value) -> Self {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        let sub = |key: &str| schema.get(key).filter(|sub| sub.is_object()).map(Self::boxed);
        let list_type = text("x-kubernetes-list-type");
        Self {
            kind: text("type"),
            nullable: schema["nullable"] == true,
            int_or_string: schema["x-kubernetes-int-or-string"] == true,
            open: schema["x-kubernetes-preserve-unknown-fields"] == true,
            properties: fields(&schema["properties"]),
            additional: sub("additionalProperties"),
            items: sub("items"),
            required: texts(&schema["required"]),
            default: schema.get("default").cloned(),
            values: schema["enum"].as_array().cloned().unwrap_or_default(),
            format: text("format"),
            pattern: schema["pattern"].as_str().and_then(|pattern| Regex::new(pattern).ok()),
            range: Limits { least: schema["minimum"].as_f64(), most: schema["maximum"].as_f64() },
            length: limits(schema, "minLength", "maxLength"),
            count: limits(schema, "minItems", "maxItems"),
            entries: limits(schema, "minProperties", "maxProperties"),
            list_keys: if list_type == "map" {
                texts(&schema["x-kubernetes-list-map-keys"])
            } else {
                Vec::new()
            },
            is_set: list_type == "set",
        }
    }

    fn boxed(schema: &Value) -> Box<Self> {
        Box::new(Self::new(schema))
    }
}

fn fields(properties: &Value) -> BTreeMap<String, Node> {
    let fields = properties.as_object().into_iter().flatten();
    fields.map(|(name, schema)| (name.clone(), Node::new(schema))).collect()
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn limits(schema: &Value, least: &str, most: &str) -> Limits<u64> {
    Limits { least: schema[least].as_u64(), most: schema[most].as_u64() }
}
