//! A value as plain text: for `curl`.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Columns are no wider.
const MAX_COLUMN: usize = 68;

/// As text: keys and values, and lists of alike things as tables.
pub(super) fn render(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    text
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) => write_map(text, map, depth),
        Value::Array(items) => write_list(text, items, depth),
        scalar => line(text, depth, &shown(scalar)),
    }
}

fn line(text: &mut String, depth: usize, content: &str) {
    let indented = format!("{:width$}{content}", "", width = depth * 2);
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{}", indented.trim_end());
}

fn write_map(text: &mut String, map: &Map<String, Value>, depth: usize) {
    let scalars = map.iter().filter(|(_, value)| is_scalar(value));
    let width = scalars.clone().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in scalars {
        line(text, depth, &format!("{key:width$}  {}", shown(value)));
    }
    for (key, value) in map {
        // A picture is nothing for text.
        if is_scalar(value) || ["chart", "picture", "topology"].contains(&&key[..]) {
            continue;
        }
        let is_empty = match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => true,
        };
        if is_empty {
            line(text, depth, &format!("{key}: none"));
        } else {
            line(text, depth, &format!("{key}:"));
            write_value(text, value, depth + 1);
        }
    }
}

fn write_list(text: &mut String, items: &[Value], depth: usize) {
    let rows: Vec<Map<String, Value>> = items.iter().filter_map(flat).collect();
    if rows.len() != items.len() {
        for (number, item) in items.iter().enumerate() {
            if !is_scalar(item) {
                line(text, depth, &format!("[{number}]"));
            }
            write_value(text, item, depth);
        }
        return;
    }
    let mut columns: Vec<&String> = Vec::new();
    for key in rows.iter().flat_map(Map::keys) {
        if !columns.contains(&key) {
            columns.push(key);
        }
    }
    let cell = |row: &Map<String, Value>, key: &str| row.get(key).map_or(String::new(), shown);
    let widths: Vec<usize> = columns
        .iter()
        .map(|key| {
            let cells = rows.iter().map(|row| cell(row, key).chars().count());
            cells.chain([key.len()]).max().unwrap_or(0).min(MAX_COLUMN)
        })
        .collect();
    let join = |cells: Vec<String>| {
        let padded = cells.iter().zip(&widths);
        let padded = padded.map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ")
    };
    line(
        text,
        depth,
        &join(columns.iter().map(ToString::to_string).collect()),
    );
    for row in &rows {
        line(
            text,
            depth,
            &join(columns.iter().map(|key| cell(row, key)).collect()),
        );
    }
}

/// A row of a table: what is within goes by its own names.
fn flat(value: &Value) -> Option<Map<String, Value>> {
    let mut row = Map::new();
    for (key, value) in value.as_object()? {
        match value {
            Value::Object(inner) if inner.values().all(is_scalar) => {
                row.extend(
                    inner
                        .iter()
                        .map(|(key, value)| (key.clone(), value.clone())),
                );
            }
            scalar if is_scalar(scalar) => drop(row.insert(key.clone(), scalar.clone())),
            _ => return None,
        }
    }
    Some(row)
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// On one line, without what a terminal would obey.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let safe = |symbol: char| if symbol.is_control() { '·' } else { symbol };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_alike_things_are_tables_and_control_characters_are_dots() {
        // In alphabetical order, which is what a map may have its keys in.
        let value = json!({
            "blocks": [
                {"credit": {"by": "rig"}, "height": 7},
                {"credit": {"by": null}, "height": 6},
            ],
            "deep": [{"list": [1, 2]}],
            "height": 7,
            "name": "a\u{1b}[31mb\n",
            "none": [],
            "topology": {"x": 1},
        });
        let text = render(&value);
        assert_eq!(
            text,
            "height  7\nname    a·[31mb·\nblocks:\n  by   height\n  rig  7\n  -    6\n\
             deep:\n  [0]\n  list:\n    1\n    2\nnone: none\n"
        );
    }
}
