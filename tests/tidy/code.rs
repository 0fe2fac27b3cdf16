//! Rust source as the rules see it: words and signs without comments and the insides of strings, and the paths
//! that a file names, made absolute. No parser: what it cannot resolve it leaves out.

/// One word or sign with the line it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

/// A path as written out in full: `crate::io::rpc`, `std::time::Instant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
}

impl Named {
    /// Whether the path is `prefix` or inside of it.
    pub fn within(&self, prefix: &str) -> bool {
        let prefix = prefix.split("::").collect::<Vec<_>>();
        self.path.len() >= prefix.len() && self.path.iter().zip(prefix).all(|(a, b)| a == b)
    }
}

/// The words and signs of `source`. A string is the token `""`; `::` is one token.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars = source.chars().collect::<Vec<_>>();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(here) = chars.get(at).copied() {
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let end = match here {
            '/' if next == '/' => until(&chars, at, |c, _| c == '\n'),
            '/' if next == '*' => comment(&chars, at),
            '"' => string(&chars, at),
            'r' | 'b' if literal(&chars, at).is_some() => literal(&chars, at).unwrap(),
            '\'' => letter(&chars, at),
            ':' if next == ':' => at + 2,
            c if c.is_ascii_digit() => number(&chars, at),
            c if is_word(c) => until(&chars, at, |c, _| !is_word(c)),
            _ => at + 1,
        };
        let text = chars[at..end].iter().collect::<String>();
        let silent = here.is_whitespace() || text.starts_with("//") || text.starts_with("/*");
        if !silent {
            let text = if text.contains('"') && here != '\'' { "\"\"".into() } else { text };
            found.push(Token { line, text });
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn until(chars: &[char], from: usize, stop: impl Fn(char, usize) -> bool) -> usize {
    (from..chars.len()).find(|at| stop(chars[*at], *at)).unwrap_or(chars.len())
}

/// Block comments nest.
fn comment(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// `b"…"`, `r"…"`, `r#"…"#`, `br"…"`; `None` for a plain word that starts with these letters.
fn literal(chars: &[char], from: usize) -> Option<usize> {
    if from > 0 && is_word(chars[from - 1]) {
        return None;
    }
    let prefix = until(chars, from, |c, _| c != 'r' && c != 'b');
    let raw = chars[from..prefix].contains(&'r');
    let open = until(chars, prefix, |c, _| c != '#');
    if chars.get(open) != Some(&'"') || prefix - from > 2 {
        return None;
    }
    if !raw {
        return (open == prefix).then(|| string(chars, open));
    }
    let hashes = open - prefix;
    let ends =
        |at: usize| chars[at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    (open + 1..chars.len()).find(|at| ends(*at)).map(|at| at + 1 + hashes)
}

/// A character, or the mark of a lifetime.
fn letter(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), _) => until(chars, from + 3, |c, _| c == '\'') + 1,
        (Some(_), Some('\'')) => from + 3,
        _ => until(chars, from + 1, |c, _| !is_word(c)),
    }
}

/// A number with its point and exponent, but without the points of a range or a method.
fn number(chars: &[char], from: usize) -> usize {
    let end = until(chars, from, |c, _| !is_word(c));
    let fraction = chars.get(end) == Some(&'.') && chars.get(end + 1).is_some_and(char::is_ascii_digit);
    if fraction { until(chars, end + 1, |c, _| !is_word(c)) } else { end }
}

/// Whether a number token is a floating one.
pub fn is_float(text: &str) -> bool {
    let plain = !text.starts_with("0x") && text.starts_with(|c: char| c.is_ascii_digit());
    let floating = text.contains('.') || text.ends_with("f64") || text.ends_with("f32");
    let exponent =
        text.contains(['e', 'E']) && !text.contains('u') && !text.contains('i') && !text.contains('U');
    plain && (floating || exponent)
}

/// The module that the file at `path` (under `src`) is.
pub fn module(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let parts = inner.split('/').filter(|part| !["mod", "lib", "main"].contains(part));
    parts.map(str::to_owned).collect()
}

/// Every path of two or more parts in `source`, the parts of groups one by one. `super` and `self` are resolved
/// from `module` and the modules written inside the file.
pub fn paths(module: &[String], source: &str) -> Vec<Named> {
    let tokens = tokens(source);
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    let mut inside: Vec<(usize, String)> = Vec::new();
    let (mut depth, mut at) = (0_usize, 0);
    while at < tokens.len() {
        match text(at) {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inside.retain(|(opened, _)| *opened <= depth);
            }
            "mod" if text(at + 2) == "{" => inside.push((depth + 1, text(at + 1).to_owned())),
            _ => {}
        }
        let starts = text(at).starts_with(|c: char| is_word(c) && !c.is_ascii_digit());
        if starts && text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") {
            let mut here = module.to_vec();
            here.extend(inside.iter().map(|(_, name)| name.clone()));
            at = tree(&tokens, at, &[], &here, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path or group from `at`, behind `prefix`; gives where it ends.
fn tree(tokens: &[Token], at: usize, prefix: &[String], here: &[String], found: &mut Vec<Named>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut path = prefix.to_vec();
    let mut at = at;
    let line = tokens.get(at).map_or(0, |token| token.line);
    loop {
        match text(at) {
            "{" if path.len() > prefix.len() || !prefix.is_empty() => {
                at += 1;
                while !["}", ""].contains(&text(at)) {
                    at = if text(at) == "," { at + 1 } else { tree(tokens, at, &path, here, found) };
                }
                return at + 1;
            }
            word if word.starts_with(is_word) || word == "*" => path.push(word.to_owned()),
            // Generic arguments and macros: the path so far is what was named.
            _ => {
                found.extend(absolute(&path, here).map(|path| Named { line, path }));
                return at + 1;
            }
        }
        if text(at + 1) != "::" {
            found.extend(absolute(&path, here).map(|path| Named { line, path }));
            let renamed = text(at + 1) == "as" && !prefix.is_empty();
            return if renamed { at + 3 } else { at + 1 };
        }
        at += 2;
    }
}

/// `None` for what leads out of the crate.
fn absolute(path: &[String], here: &[String]) -> Option<Vec<String>> {
    let first = path.first()?.as_str();
    if !["self", "super"].contains(&first) {
        return Some(path.to_vec());
    }
    let rises = path.iter().take_while(|part| *part == "super").count();
    let kept = here.get(..here.len().checked_sub(rises)?)?;
    let rest = path.iter().skip_while(|part| ["self", "super"].contains(&part.as_str()));
    Some(std::iter::once("crate".to_owned()).chain(kept.iter().cloned()).chain(rest.cloned()).collect())
}
