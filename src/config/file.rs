//! The file's text as values with the line each was written on. Serde would stop at the first mistake; this
//! reads on, so that a start shows them all. What the values mean is `values` and `check`.

use super::keys::{self, Shape};
use super::layers::{Layer, MARKET_NAME, is_market_name};
use super::mistakes::{Mistake, Place};
use super::values::Raw;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Reads `text`, the content of `path`, into a layer. A file that is not TOML gives its syntax errors and
/// nothing else: what was recovered from it would only mislead.
pub(super) fn read(path: &Path, text: &str, layer: &mut Layer, mistakes: &mut Vec<Mistake>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = |start: usize| Place::File { path: path.to_owned(), line: line_of(text, start) };
    if errors.is_empty() {
        let mut walk = Walk { place: &place, path: Vec::new(), layer, mistakes };
        return walk.table(table.get_ref());
    }
    let mut lines = Vec::new();
    for error in errors {
        // Only the message: the error's own display repeats the source line, which may hold a key.
        let place = place(error.span().map_or(0, |span| span.start));
        if !lines.contains(&place) {
            mistakes.push(Mistake::new(Some(place.clone()), "", format!("not TOML: {}", error.message())));
            lines.push(place);
        }
    }
}

fn line_of(text: &str, start: usize) -> usize {
    let before = text.get(..start.min(text.len())).unwrap_or(text);
    before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1)
}

struct Walk<'a> {
    place: &'a dyn Fn(usize) -> Place,
    path: Vec<String>,
    layer: &'a mut Layer,
    mistakes: &'a mut Vec<Mistake>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let place = (self.place)(key.span().start);
            self.path.push(key.get_ref().to_string());
            self.value(value.get_ref(), place);
            self.path.pop();
        }
    }

    fn value(&mut self, value: &DeValue<'_>, place: Place) {
        let key = self.path.join(".");
        let refuse = match (keys::shape(&self.path), value) {
            (Shape::Table, DeValue::Table(_)) if matches!(&self.path[..], [_, name] if !is_market_name(name)) =>
            {
                format!("not a name for a market: {MARKET_NAME}")
            }
            (Shape::Table, DeValue::Table(table)) => {
                self.layer.tables.insert(key, place);
                return self.table(table);
            }
            (Shape::Table, _) => format!("is a table: write [{key}] and its keys below"),
            (Shape::Value, _) if key.ends_with(".private_key") => key_in_file(&key),
            (Shape::Value, DeValue::Table(_)) => "is a single value, not a table".to_owned(),
            (Shape::Value, value) => {
                self.layer.values.insert(key, (Raw::of_toml(value), place));
                return;
            }
            (Shape::Unknown, DeValue::Table(_)) => unknown("table", keys::meant(&self.path)),
            (Shape::Unknown, _) => unknown("key", keys::meant(&self.path)),
        };
        self.mistakes.push(Mistake::new(Some(place), key, refuse));
    }
}

/// Said wherever a key stands in the file, also where the environment covers it: it is there to be read.
fn key_in_file(key: &str) -> String {
    let variable = keys::variable(key);
    let table = key.split('.').next().unwrap_or(key);
    format!(
        "refused in a file, which backups, editors and other users read; put the key in the environment variable \
         {variable}, or better in a keystore ({table}.keystore)"
    )
}

fn unknown(what: &str, meant: Option<String>) -> String {
    match meant {
        Some(meant) => format!("unknown {what}; did you mean {meant}?"),
        None => format!("unknown {what}; config.example.toml lists those there are"),
    }
}

/// `text` with `${NAME}` replaced by the environment's value; `$${` stays `${`. `None` where there is nothing
/// to replace.
///
/// # Errors
/// The sentence that names the variable that is not set, or the bracket that is not closed.
pub(super) fn expand(text: &str, environment: &BTreeMap<String, OsString>) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at.saturating_add(2)..]);
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}').ok_or("${ is not closed: write ${NAME}")?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err("${…} holds no name of an environment variable: write ${NAME}".to_owned());
        }
        let value = environment.get(name).ok_or_else(|| {
            format!("environment variable {name} is not set; set it or write the value here")
        })?;
        let value = value.to_str().ok_or_else(|| format!("environment variable {name} is not UTF-8"))?;
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(Some(out))
}
