//! Defaults < file < environment < flags: finds what was written, lays it over each other, and keeps the
//! origin of each value.

use super::file;
use super::keys::{self, KEYS, NOT_KEYS, PREFIX, Shape};
use super::mistakes::{Mistake, Place};
use super::presets;
use super::values::{self, Raw};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Everything a configuration is made of. No `Debug`: the environment holds secrets.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file asked for with `--config`; it must be there.
    pub file: Option<PathBuf>,
    pub environment: BTreeMap<String, OsString>,
    pub flags: Vec<Flag>,
    /// What relative paths of environment and flags are relative to, and where `backstop.toml` is looked for.
    pub directory: PathBuf,
}

/// A key set on the command line.
#[derive(Clone)]
pub struct Flag {
    /// As typed, e.g. `--rpc-url`.
    pub flag: &'static str,
    /// The key's path, e.g. `rpc.http`.
    pub key: &'static str,
    pub value: String,
}

impl Sources {
    /// The environment and the working directory of this process.
    pub fn of_process() -> Self {
        #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let environment =
            std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value)).collect();
        // A directory that is gone leaves relative paths as they are.
        let directory = std::env::current_dir().unwrap_or_default();
        Self { file: None, environment, flags: Vec::new(), directory }
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    }

    /// A directory of the XDG base directory rules: the variable where it is absolute, else below `HOME`.
    pub(super) fn xdg(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        let named = self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| self.variable("HOME").map(|home| Path::new(home).join(below_home)))
    }

    /// Where Foundry keeps its keystores, and we ours.
    pub fn keystores(&self) -> Option<PathBuf> {
        self.variable("HOME").map(|home| Path::new(home).join(".foundry/keystores"))
    }

    /// The file to read, and whether it must be there.
    fn chosen_file(&self) -> Option<(PathBuf, bool)> {
        let named = self.file.clone().or_else(|| self.variable("BACKSTOP_CONFIG").map(PathBuf::from));
        if let Some(path) = named {
            return Some((path, true));
        }
        let near = PathBuf::from("backstop.toml");
        let home = self.xdg("XDG_CONFIG_HOME", ".config").map(|path| path.join("backstop/backstop.toml"));
        [Some(near), home].into_iter().flatten().find(|p| there(&self.directory.join(p))).map(|p| (p, false))
    }
}

/// One that may not be looked at is there: reading it then says why it cannot be.
fn there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Values by key, and the tables they stand in, with their places.
#[derive(Default)]
pub(super) struct Layer {
    pub values: BTreeMap<String, (Raw, Place)>,
    pub tables: BTreeMap<String, Place>,
}

/// All layers as one.
pub(super) struct Merged {
    pub values: BTreeMap<String, (Raw, Place)>,
    pub tables: BTreeMap<String, Place>,
    /// The names of the `[markets.<name>]` tables.
    pub markets: BTreeSet<String>,
    pub file: Option<PathBuf>,
    /// False when the file could not be read: what is missing then is not known.
    pub readable: bool,
}

/// Lays the sources over each other. Unknown keys are mistakes wherever they stand; a value is only looked
/// at where no later layer covers it.
pub(super) fn merge(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Merged {
    let mut layer = Layer::default();
    let before = mistakes.len();
    let file = read_file(sources, &mut layer, mistakes);
    let readable = !mistakes
        .iter()
        .skip(before)
        .any(|m| m.key.is_empty() && matches!(m.place, Some(Place::File { .. })));
    read_environment(sources, &mut layer, mistakes);
    for Flag { flag, key, value } in &sources.flags {
        layer.values.insert((*key).to_owned(), (Raw::loose(value), Place::Flag(flag)));
    }
    fill_presets(sources, &mut layer);
    let markets: BTreeSet<String> =
        layer.tables.keys().filter_map(|table| market_of(table)).map(str::to_owned).collect();
    defaults(&mut layer, &markets);
    expand(sources, &mut layer, mistakes);
    Merged { values: layer.values, tables: layer.tables, markets, file, readable }
}

fn read_file(sources: &Sources, layer: &mut Layer, mistakes: &mut Vec<Mistake>) -> Option<PathBuf> {
    let (path, named) = sources.chosen_file()?;
    let mut refuse = |what: String| {
        let place = Place::File { path: path.clone(), line: 0 };
        mistakes.push(Mistake::new(Some(place), "", what));
    };
    match std::fs::read(sources.directory.join(&path)) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound && named => {
            let by = if sources.file.is_some() { "--config" } else { "BACKSTOP_CONFIG" };
            refuse(format!("there is no such file; {by} names it"));
        }
        Err(why) => refuse(format!("cannot be read: {}", why.kind())),
        Ok(bytes) => match String::from_utf8(bytes) {
            Err(_) => refuse("is not UTF-8 text".to_owned()),
            Ok(text) => file::read(&path, &text, layer, mistakes),
        },
    }
    Some(path)
}

fn read_environment(sources: &Sources, layer: &mut Layer, mistakes: &mut Vec<Mistake>) {
    for (name, value) in &sources.environment {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !NOT_KEYS.contains(&name.as_str())) else {
            continue;
        };
        let mut path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
        if let [markets, market, ..] = &mut path[..]
            && markets == "markets"
        {
            *market = spelt_in_file(market, layer);
        }
        let place = Place::Environment(name.clone());
        let key = path.join(".");
        let refuse = match (keys::shape(&path), value.to_str()) {
            _ if matches!(&path[..], [markets, name, ..] if markets == "markets" && !is_market_name(name)) => {
                format!("not a name for a market: {MARKET_NAME}")
            }
            (Shape::Value, Some(text)) => {
                for (at, _) in key.match_indices('.') {
                    layer.tables.entry(key[..at].to_owned()).or_insert_with(|| place.clone());
                }
                layer.values.insert(key, (Raw::loose(text), place));
                continue;
            }
            (Shape::Value, None) => "is not UTF-8 text".to_owned(),
            (Shape::Table, _) => format!("is a table: set its keys, e.g. {}", example_below(&key)),
            (Shape::Unknown, _) => match keys::meant(&path).map(|meant| keys::variable(&meant)) {
                Some(meant) => format!("unknown key; did you mean {meant}?"),
                None => "unknown key; config.example.toml lists those there are".to_owned(),
            },
        };
        mistakes.push(Mistake::new(Some(place), key, refuse));
    }
}

/// What the built-in markets say, below everything that was written: of those that have a table, and of the chosen one.
fn fill_presets(sources: &Sources, layer: &mut Layer) {
    let written = layer.values.get("market").and_then(|(raw, _)| values::text(raw).ok().flatten());
    let chosen = written.map(|text| match file::expand(&text, &sources.environment) {
        Ok(Some(expanded)) => expanded,
        _ => text,
    });
    for preset in presets::presets() {
        let name = &preset.name;
        if chosen.as_ref() != Some(name) && !layer.tables.contains_key(&format!("markets.{name}")) {
            continue;
        }
        for (key, value) in &preset.values {
            let place = Place::Preset(name.clone());
            for (at, _) in key.match_indices('.') {
                layer.tables.entry(key[..at].to_owned()).or_insert_with(|| place.clone());
            }
            layer.values.entry(key.clone()).or_insert_with(|| (Raw::loose(value), place));
        }
    }
}

/// Variables cannot hold a hyphen: `ETHEREUM_CORE` also names the file's `ethereum-core`.
fn spelt_in_file(name: &str, layer: &Layer) -> String {
    let exact = layer.tables.contains_key(&format!("markets.{name}"));
    let built_in = presets::presets().iter().map(|preset| preset.name.as_str());
    let mut hyphened = layer.tables.keys().filter_map(|table| market_of(table)).chain(built_in);
    match hyphened.find(|known| !exact && known.replace('-', "_") == name) {
        Some(known) => known.to_owned(),
        None => name.to_owned(),
    }
}

fn market_of(table: &str) -> Option<&str> {
    table.strip_prefix("markets.").filter(|name| !name.contains('.'))
}

fn example_below(table: &str) -> String {
    let below = KEYS.iter().map(|(key, _)| *key).find(|key| key.starts_with(&format!("{table}.")));
    keys::variable(&below.unwrap_or("markets.*.chain_id").replace('*', "<name>"))
}

fn defaults(layer: &mut Layer, markets: &BTreeSet<String>) {
    let mut fill = |key: String, default: &str| {
        layer.values.entry(key).or_insert_with(|| (Raw::loose(default), Place::Default));
    };
    for (key, default) in KEYS {
        let Some(default) = default else { continue };
        if key.contains('*') {
            markets.iter().for_each(|name| fill(key.replace('*', name), default));
        } else {
            fill((*key).to_owned(), default);
        }
    }
}

/// Replaces `${VAR}` in what is left of the file.
fn expand(sources: &Sources, layer: &mut Layer, mistakes: &mut Vec<Mistake>) {
    let mut lost = Vec::new();
    for (key, (raw, place)) in &mut layer.values {
        if !matches!(place, Place::File { .. }) {
            continue;
        }
        let Some(text) = raw.written_texts() else { continue };
        match file::expand(text, &sources.environment) {
            Ok(None) => {}
            Ok(Some(text)) => *raw = Raw::hidden(&text),
            Err(what) => {
                mistakes.push(Mistake::new(Some(place.clone()), key.clone(), what));
                lost.push(key.clone());
            }
        }
    }
    for key in lost {
        layer.values.insert(key, (Raw::refused(), Place::Default));
    }
}

pub(super) const MARKET_NAME: &str =
    "use lower-case letters, digits, - and single _ (environment variables write it in capitals)";

pub(super) fn is_market_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    !name.is_empty() && !name.contains("__") && name.chars().all(plain)
}
