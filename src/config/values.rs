//! One value at a time: what was written, and the functions that make a typed value of it or say what is
//! wrong. Each error is the end of a sentence that begins with the key.

use super::secret::Secret;
use crate::domain::units::{Bps, FeePerGas, Gas, Wei, show};
use alloy::primitives::{Address, B256, U256};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeValue;

/// A value as it was written. No `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Raw {
    text: String,
    form: Form,
    /// Came out of a variable: never repeated in a message.
    hidden: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    /// Texts, kept with a space between each two.
    List,
    /// From the environment, a flag or a `${VAR}`: text or number, as the field needs it.
    Loose,
    /// Neither: said by its TOML name.
    Other(&'static str),
    /// A mistake was already reported for it.
    Refused,
}

impl Raw {
    pub fn of_toml(value: &DeValue<'_>) -> Self {
        let (text, form) = match value {
            DeValue::String(text) => (text.to_string(), Form::Text),
            DeValue::Integer(number) => (number.to_string(), Form::Number),
            DeValue::Float(number) => (number.as_str().to_owned(), Form::Number),
            DeValue::Array(items) => {
                let texts = items.iter().map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                });
                match texts.collect::<Option<Vec<_>>>() {
                    Some(texts) => (texts.join(" "), Form::List),
                    None => (String::new(), Form::Other(value.type_str())),
                }
            }
            other => (String::new(), Form::Other(other.type_str())),
        };
        Self { text, form, hidden: false }
    }

    pub fn loose(text: &str) -> Self {
        Self { text: text.to_owned(), form: Form::Loose, hidden: false }
    }

    pub fn hidden(text: &str) -> Self {
        Self { hidden: true, ..Self::loose(text) }
    }

    pub fn refused() -> Self {
        Self { text: String::new(), form: Form::Refused, hidden: true }
    }

    pub fn is_refused(&self) -> bool {
        self.form == Form::Refused
    }

    /// The text of a string of the file.
    pub fn written_text(&self) -> Option<&str> {
        (self.form == Form::Text).then_some(&*self.text)
    }

    /// The same, or the texts of a list: what may name variables.
    pub fn written_texts(&self) -> Option<&str> {
        matches!(self.form, Form::Text | Form::List).then_some(&*self.text)
    }

    /// The text as it is, for `show`, which knows which keys are secret.
    pub fn plain(&self) -> String {
        self.text().unwrap_or_else(|_| self.text.clone())
    }

    /// As text. A loose value may carry TOML's quotes.
    fn text(&self) -> Result<String, String> {
        match self.form {
            Form::Text => Ok(self.text.clone()),
            Form::Loose => match DeValue::parse(&self.text).as_ref().map(|value| value.get_ref()) {
                Ok(DeValue::String(text)) => Ok(text.to_string()),
                _ => Ok(self.text.clone()),
            },
            Form::Number => Err(format!("{} is a number; write it in quotes", self.shown())),
            Form::List => Err("is an array; write text in quotes".to_owned()),
            Form::Other(name) => Err(format!("is {}; write text in quotes", article(name))),
            Form::Refused => Err(String::new()),
        }
    }

    /// The digits of a number as TOML has them: without `_`, with the prefix of another base.
    fn number(&self) -> Result<String, String> {
        match self.form {
            Form::Number => Ok(self.text.clone()),
            Form::Loose => match DeValue::parse(&self.text).as_ref().map(|value| value.get_ref()) {
                Ok(DeValue::Integer(number)) => Ok(number.to_string()),
                Ok(DeValue::Float(number)) => Ok(number.as_str().to_owned()),
                _ => Err(format!("{} is not a number", self.shown())),
            },
            Form::Text => Err(format!("{} is text; write the number without quotes", self.shown())),
            Form::List => Err("is an array; write a number".to_owned()),
            Form::Other(name) => Err(format!("is {}; write a number", article(name))),
            Form::Refused => Err(String::new()),
        }
    }

    /// The value as it was written, where it cannot be a secret: not out of a variable, no URL, nothing as long as a
    /// private key.
    fn shown(&self) -> String {
        let looks_secret = self.text.contains("://")
            || self.text.chars().count() > 60
            || self.text.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() > 42);
        if self.hidden || looks_secret {
            return "the value (not shown)".to_owned();
        }
        if self.form == Form::Number { self.text.clone() } else { format!("{:?}", self.text) }
    }
}

fn article(name: &str) -> String {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {name}", if vowel { "an" } else { "a" })
}

/// Written, and empty: how a key is left unset.
pub(super) fn is_unset(raw: &Raw) -> bool {
    (raw.form == Form::List && raw.text.is_empty()) || text(raw).is_ok_and(|text| text.is_none())
}

/// Text, trimmed; `None` when empty, which is how a key is left unset.
pub(super) fn text(raw: &Raw) -> Result<Option<String>, String> {
    Ok(Some(raw.text()?.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// The name of one of `known`.
pub(super) fn name(raw: &Raw, known: &[String]) -> Result<Option<String>, String> {
    match text(raw)? {
        Some(name) if !known.contains(&name) => Err(format!(
            "no table [markets.<name>] for {}, and `backstop markets` lists no such market; defined: {}",
            raw.shown(),
            known.join(", ")
        )),
        name => Ok(name),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(raw: &Raw, words: &[(&str, T)]) -> Result<T, String> {
    let text = raw.text()?;
    let found = words.iter().find(|(word, _)| *word == text.trim());
    found.map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        format!("{} is not one of {}", raw.shown(), all.join(", "))
    })
}

/// A whole number of `unit` within `range`.
pub(super) fn whole(raw: &Raw, range: RangeInclusive<u64>, unit: &str) -> Result<u64, String> {
    let number = whole_wide(raw, &raw.number()?, unit)?;
    let (least, most) = (*range.start(), *range.end());
    u64::try_from(number)
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("{} is out of range: {least} to {most} {unit}", raw.shown()))
}

fn whole_wide(raw: &Raw, number: &str, unit: &str) -> Result<U256, String> {
    if number.starts_with('-') {
        return Err(format!("{} is below zero", raw.shown()));
    }
    let plain = number.strip_prefix('+').unwrap_or(number);
    // U256 reads the prefixes 0x, 0o and 0b itself.
    plain.parse::<U256>().map_err(|_| format!("{} is not a whole number of {unit}", raw.shown()))
}

/// Wei as an integer, or as a decimal string for readers that keep 64 bits. At most 1000 coins.
pub(super) fn wei(raw: &Raw) -> Result<Wei, String> {
    let digits = match raw.written_text() {
        Some(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) => text.to_owned(),
        Some(_) => return Err(format!("{} is not a whole number of wei", raw.shown())),
        None => raw.number()?,
    };
    let wei = whole_wide(raw, &digits, "wei")?;
    if wei > U256::from(1_000_000_000_000_000_000_000_u128) {
        let shown = raw.shown();
        return Err(format!("{shown} is more than 1000 coins; the unit is wei, 10^-18 of the native coin"));
    }
    Ok(Wei(wei))
}

/// An address: not zero, and with the right checksum where it is written in mixed case.
pub(super) fn address(raw: &Raw) -> Result<Option<Address>, String> {
    let Some(text) = text(raw)? else { return Ok(None) };
    parse_address(&text)
        .map(Some)
        .map_err(|why| if why.starts_with("is ") { format!("{} {why}", raw.shown()) } else { why })
}

/// Addresses in an array, or in one text with spaces or commas between them, each once. `None` when there is none.
pub(super) fn addresses(raw: &Raw) -> Result<Option<Vec<Address>>, String> {
    let text = if raw.form == Form::List { raw.text.clone() } else { raw.text()? };
    let words = text.split([' ', ',']).map(str::trim).filter(|word| !word.is_empty());
    let found = words.map(|word| {
        let one = Raw { text: word.to_owned(), form: Form::Text, hidden: raw.hidden };
        parse_address(word).map_err(|why| format!("{} {why}", one.shown()))
    });
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    if let Some(twice) =
        found.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first())
    {
        return Err(format!("names {twice} twice"));
    }
    Ok(Some(found).filter(|found| !found.is_empty()))
}

/// An account or contract as people write it.
///
/// # Errors
/// What is wrong, as the end of a sentence that does not repeat the value.
pub fn parse_address(text: &str) -> Result<Address, String> {
    let digits =
        text.strip_prefix("0x").filter(|d| d.len() == 40 && d.chars().all(|c| c.is_ascii_hexdigit()));
    let digits = digits.ok_or("is not an address: write 0x and 40 hex digits")?;
    let address: Address = digits.parse().map_err(|_| "is not an address")?;
    if address.is_zero() {
        return Err("is the zero address: no contract and no owner".to_owned());
    }
    let upper = digits.chars().any(|c| c.is_ascii_uppercase());
    let lower = digits.chars().any(|c| c.is_ascii_lowercase());
    if upper && lower && Address::parse_checksummed(text, None).is_err() {
        return Err("is an address with a wrong checksum: a letter was changed; copy it again".to_owned());
    }
    Ok(address)
}

/// The hash of a contract's code. Not shown where it is wrong: it may be a key in the wrong place.
pub(super) fn hash(raw: &Raw) -> Result<Option<B256>, String> {
    let Some(text) = text(raw)? else { return Ok(None) };
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64);
    let hash = digits.and_then(|digits| digits.parse().ok()).filter(|hash: &B256| !hash.is_zero());
    hash.map(Some).ok_or_else(|| {
        "the value (not shown) is not a code hash: write 0x and 64 hex digits, as `backstop deploy` prints them"
            .to_owned()
    })
}

/// A time with its unit, e.g. `"2s"`, within `range`.
pub(super) fn duration(raw: &Raw, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    const HOW: &str = "write \"2s\", \"500ms\" or \"1m\"";
    let bare = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if raw.form == Form::Number || (!raw.text.is_empty() && bare(&raw.text)) {
        return Err(format!("{} has no unit; {HOW}", raw.shown().replace('"', "")));
    }
    let text = raw.text()?;
    let time = humantime::parse_duration(text.trim())
        .map_err(|_| format!("{} is not a time with its unit; {HOW}", raw.shown()))?;
    if !range.contains(&time) {
        let (least, most) =
            (humantime::format_duration(*range.start()), humantime::format_duration(*range.end()));
        return Err(format!("{} is out of range: {least} to {most}", raw.shown()));
    }
    Ok(time)
}

/// A fee per unit of gas with its unit, e.g. `"300 gwei"`; at most 100,000 gwei.
pub(super) fn fee(raw: &Raw) -> Result<FeePerGas, String> {
    const HOW: &str = "write \"300 gwei\" or \"5000000 wei\"";
    if raw.form == Form::Number {
        return Err(format!("{} has no unit; {HOW}", raw.shown()));
    }
    let text = raw.text()?;
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let places = match unit {
        "gwei" => 9,
        "wei" => 0,
        "" => return Err(format!("{} has no unit; {HOW}", raw.shown())),
        _ => return Err(format!("{} is not in wei or gwei; {HOW}", raw.shown())),
    };
    let wei = fixed_point(number.trim(), places).map_err(|why| format!("{} {why}; {HOW}", raw.shown()))?;
    u128::try_from(wei)
        .ok()
        .filter(|wei| *wei <= 100_000_000_000_000)
        .map(FeePerGas)
        .ok_or_else(|| format!("{} is out of range: at most 100000 gwei", raw.shown()))
}

/// A share of one, at most `most`, kept exactly.
pub(super) fn share(raw: &Raw, most: Bps) -> Result<Bps, String> {
    let number = raw.number()?;
    let shown = raw.shown();
    if number.starts_with('-') {
        return Err(format!("{shown} is below zero"));
    }
    let bps = fixed_point(&number, 4).map_err(|why| format!("{shown} {why}; write a share, e.g. 0.1"))?;
    u32::try_from(bps).ok().map(Bps).filter(|share| *share <= most).ok_or_else(|| {
        let most = show(U256::from(most.0), 4, 4);
        format!("{shown} is out of range: 0.0 to {}; a tenth is 0.1", most.trim_end_matches('0'))
    })
}

pub(super) fn gas(raw: &Raw, range: RangeInclusive<u64>) -> Result<Gas, String> {
    whole(raw, range, "gas").map(Gas)
}

pub(super) fn secret(raw: &Raw, schemes: [&str; 2]) -> Result<Option<Secret>, String> {
    let hide = |_| "is not text; write the URL in quotes (value not shown)".to_owned();
    text(raw).map_err(hide)?.map(|text| Secret::url(&text, schemes)).transpose()
}

/// A path: `~` is the home directory, and what is relative is relative to `base`.
pub(super) fn path(raw: &Raw, base: &Path, home: Option<&str>) -> Result<Option<PathBuf>, String> {
    let Some(text) = text(raw)? else { return Ok(None) };
    let Some(below) = text.strip_prefix('~') else { return Ok(Some(base.join(text))) };
    match (below.strip_prefix('/'), home) {
        _ if !below.is_empty() && !below.starts_with('/') => {
            Err("names another user's home; write the path in full".to_owned())
        }
        (_, None) => Err("begins with ~ and HOME is not set; write the path in full".to_owned()),
        (below, Some(home)) => Ok(Some(Path::new(home).join(below.unwrap_or("")))),
    }
}

/// A decimal number times `10^places`, exactly.
///
/// # Errors
/// The end of a sentence: not a decimal number, more than `places` digits behind the point, too large.
pub fn fixed_point(text: &str, places: u8) -> Result<U256, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return Err("is not a decimal number".to_owned());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > usize::from(places) {
        return Err(format!("has more than {places} digits behind the point"));
    }
    let padded = format!("{whole}{fraction:0<width$}", width = usize::from(places));
    U256::from_str_radix(&padded, 10).map_err(|_| "is too large".to_owned())
}
