//! As much of JSON Schema as the document uses, strictly: a field that is not described is wrong.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What of `value` is not as `schema` of `document` says.
pub(super) fn differences(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, ("", value), &mut found);
    found
}

fn check(document: &Value, schema: &Value, (at, value): (&str, &Value), found: &mut Vec<String>) {
    let schema = resolved(document, schema);
    // Anything at all.
    if schema.as_object().is_none_or(Map::is_empty) {
        return;
    }
    if let Some(all) = schema["oneOf"].as_array() {
        let fits = |one: &&Value| differences(document, one, value).is_empty();
        if all.iter().filter(fits).count() != 1 {
            found.push(format!("{at}: {value} is not one of {all:?}"));
        }
        return;
    }
    if let Some(names) = schema["enum"].as_array()
        && !names.contains(value)
    {
        found.push(format!("{at}: {value} is none of {names:?}"));
    }
    if !is_of_type(&schema["type"], value) && schema["allOf"].is_null() {
        found.push(format!("{at}: {value} is not of type {}", schema["type"]));
    }
    if let (Value::Array(items), Some(item)) = (value, schema.get("items")) {
        for (number, value) in items.iter().enumerate() {
            check(document, item, (&format!("{at}[{number}]"), value), found);
        }
    }
    if let Value::Object(fields) = value {
        check_fields(document, schema, (at, fields), found);
    }
}

fn check_fields(
    document: &Value,
    schema: &Value,
    (at, fields): (&str, &Map<String, Value>),
    found: &mut Vec<String>,
) {
    let (mut described, mut others) = (BTreeSet::new(), None);
    let mut parts = vec![schema];
    while let Some(part) = parts.pop() {
        let part = resolved(document, part);
        parts.extend(part["allOf"].as_array().into_iter().flatten());
        for (name, schema) in part["properties"].as_object().into_iter().flatten() {
            described.insert(name.clone());
            if let Some(value) = fields.get(name) {
                check(document, schema, (&format!("{at}.{name}"), value), found);
            }
        }
        for name in part["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                found.push(format!("{at}: no {name}"));
            }
        }
        others = others.or(part.get("additionalProperties"));
    }
    for (name, value) in fields.iter().filter(|(name, _)| !described.contains(*name)) {
        match others {
            Some(schema) => check(document, schema, (&format!("{at}.{name}"), value), found),
            None => found.push(format!("{at}.{name} is not described")),
        }
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(to) => document.pointer(to.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn is_of_type(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    };
    match kinds {
        Value::Null => true,
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        other => panic!("{other} is no type"),
    }
}
