//! URLs that may hold a key, and the redactor everything printed goes through. An RPC provider's URL is a
//! password: it is read through `Secret::expose` by the transports and by nothing else.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use url::Url;

/// A URL with its path, query and user kept out of sight.
#[derive(Clone)]
pub struct Secret {
    url: SecretString,
    alias: String,
}

impl Secret {
    /// A URL of one of `schemes`.
    ///
    /// # Errors
    /// What is wrong with `text`, as the end of a sentence that does not repeat it.
    pub fn url(text: &str, schemes: [&str; 2]) -> Result<Self, String> {
        let expected = format!("{}:// or {}://", schemes[0], schemes[1]);
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !scheme.is_some_and(|scheme| schemes.contains(&scheme.as_str())) {
            return Err(format!("does not begin with {expected} (value not shown: URLs may hold keys)"));
        }
        // The parser's own words are fixed sentences: they never repeat the input.
        let url = Url::parse(text)
            .map_err(|why| format!("is not a URL: {why} (value not shown: URLs may hold keys)"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
        let alias = match url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self { url: SecretString::from(text), alias })
    }

    /// `host:port`: what may be printed, logged and used as a label.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// The whole URL, for the transport that connects to it.
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.alias)
    }
}

/// `text` with every `scheme://…` cut down to `scheme://host:port/…`, whoever wrote it: transport errors
/// repeat the URL they failed on. Where host and port cannot be told apart from a user or a key with
/// certainty, `scheme://…` is all that is left.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, mark)) = next_url(rest) {
        let (before, after) = (&rest[..at], &rest[at.saturating_add(mark.len())..]);
        let end = after.find(ends_url).unwrap_or(after.len());
        // Punctuation of the sentence around the URL stays in the sentence.
        let body = after[..end].trim_end_matches([')', ']', '}', ',', '.', ';', ':', '\'', '\\']);
        out.push_str(before);
        out.push_str("://");
        // A bare `http://` is our own sentence about schemes.
        if !body.is_empty() {
            out.push_str(&shown(body));
        }
        rest = &after[body.len()..];
    }
    out.push_str(rest);
    out
}

/// The next `://`, or the same with the slashes escaped as JSON writers do.
fn next_url(text: &str) -> Option<(usize, &'static str)> {
    ["://", ":\\/\\/"]
        .into_iter()
        .filter_map(|mark| text.find(mark).map(|at| (at, mark)))
        .min_by_key(|(at, _)| *at)
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '`')
}

fn shown(body: &str) -> String {
    let end = body.find(['/', '?', '#', '\\']).unwrap_or(body.len());
    let (authority, tail) = body.split_at(end);
    let (host, port) = match authority.rsplit_once('@') {
        // A user whose password holds a slash looks like a host with a port.
        None if tail.contains('@') => return "…".to_owned(),
        None => split_port(authority),
        Some((_, place)) => split_port(place),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    if host.is_empty() || !host.chars().all(plain) || !port.chars().all(|c| c.is_ascii_digit()) {
        return "…".to_owned();
    }
    let colon = if port.is_empty() { "" } else { ":" };
    let slash = if tail.is_empty() && !authority.contains('@') { "" } else { "/…" };
    format!("{host}{colon}{port}{slash}")
}

/// Host and port; an IPv6 address keeps its brackets.
fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    }
}
