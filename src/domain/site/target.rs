//! The `to` of a redirect: a path of the same site or an `https` address, with what `from` captures filled in.

use super::host::normalised_host;
use super::path::{SitePath, encode, is_path_byte, is_value_byte, push_query};
use super::pattern::{Route, SPLAT, name_length};

/// Where a rule leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Scheme and authority; `None` for a path of the same site.
    origin: Option<Box<str>>,
    path: Vec<Part>,
    query: Option<Vec<Part>>,
    fragment: Option<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Encoded text.
    Text(String),
    /// What has this position among the captures.
    Capture(usize),
}

impl Target {
    /// Parses the target of a rule with this `from`.
    pub(super) fn parse(text: &str, from: &Route) -> Result<Self, String> {
        if text.chars().any(|c| c == '\\' || c.is_control()) {
            return Err(format!("{text}: a target holds no backslash or control character"));
        }
        let (rest, fragment) = split(text, '#');
        let (rest, query) = split(rest, '?');
        let (origin, path) = split_origin(rest)?;
        let fill = |text: &str, kept: fn(u8) -> bool| parts(text, from, kept);
        let target = Self {
            origin,
            path: fill(if path.is_empty() { "/" } else { path }, |byte| byte == b'/' || is_path_byte(byte))?,
            query: query.map(|query| fill(query, |byte| byte.is_ascii_graphic())).transpose()?,
            fragment: fragment.map(|fragment| fill(fragment, |byte| byte.is_ascii_graphic())).transpose()?,
        };
        if target.origin.is_none() {
            let example = target.path(&vec!["x"; target.captures()]);
            let path = SitePath::parse(&example).map_err(|problem| format!("{text}: {problem}"))?;
            if !path.is_canonical() {
                return Err(format!("{text}: write it without empty segments, in composed Unicode form (NFC)"));
            }
        }
        Ok(target)
    }

    /// Whether it is a path of the same site.
    pub(super) fn is_inside(&self) -> bool {
        self.origin.is_none()
    }

    /// Whether it is a path and nothing else.
    pub(super) fn is_bare(&self) -> bool {
        self.is_inside() && self.query.is_none() && self.fragment.is_none()
    }

    /// Whether it is the same for every request.
    pub(super) fn is_fixed(&self) -> bool {
        self.captures() == 0
    }

    /// The number of captures that it needs.
    fn captures(&self) -> usize {
        let parts = self.path.iter().chain(self.query.iter().flatten()).chain(self.fragment.iter().flatten());
        parts.filter_map(|part| if let Part::Capture(at) = part { Some(at + 1) } else { None }).max().unwrap_or(0)
    }

    /// The path, encoded, without origin and query.
    pub(super) fn path(&self, captures: &[&str]) -> String {
        let mut out = String::new();
        for part in &self.path {
            match part {
                // What is captured may be empty or end with a slash: two slashes would make it another path, or, at the
                // beginning, another host.
                Part::Text(text) if out.ends_with('/') => out.push_str(text.strip_prefix('/').unwrap_or(text)),
                Part::Text(text) => out.push_str(text),
                Part::Capture(at) => out.push_str(captures.get(*at).copied().unwrap_or_default()),
            }
        }
        out
    }

    /// The `Location` for a request with these captures and this query.
    pub(super) fn location(&self, captures: &[&str], query: Option<&str>) -> String {
        let mut out = self.origin.as_deref().unwrap_or_default().to_owned();
        out.push_str(&self.path(captures));
        match &self.query {
            Some(own) => {
                out.push('?');
                push_values(own, captures, &mut out);
            }
            None => push_query(query, &mut out),
        }
        if let Some(fragment) = &self.fragment {
            out.push('#');
            push_values(fragment, captures, &mut out);
        }
        out
    }
}

/// Appends parts in which captures are values: nothing in them ends the value or begins another one.
fn push_values(parts: &[Part], captures: &[&str], out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            // Escapes are kept as they are.
            Part::Capture(at) => {
                let value = captures.get(*at).copied().unwrap_or_default();
                encode(value, |byte| byte == b'%' || is_value_byte(byte), out);
            }
        }
    }
}

fn split(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

/// Splits off scheme and authority.
fn split_origin(text: &str) -> Result<(Option<Box<str>>, &str), String> {
    if text.starts_with("//") {
        return Err(format!("{text}: a target that begins with '//' is another host; write https:// if that is meant"));
    }
    if text.starts_with('/') {
        return Ok((None, text));
    }
    let Some(rest) = text.strip_prefix("https://") else {
        return Err(format!("{text}: a target begins with '/' or https://"));
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(format!("{text}: a target names no user"));
    }
    let (host, port) = authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    if let Some(port) = port.filter(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err(format!("{text}: :{port} is no port; what is captured cannot be part of the host"));
    }
    let name = normalised_host(host).map_err(|error| format!("{text}: {error}"))?;
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok((Some(format!("https://{name}{port}").into()), path))
}

/// Finds `:name` in a text. A name at the beginning of a segment or value must be one of the route's; elsewhere, what is
/// no name of the route is text.
fn parts(text: &str, from: &Route, kept: fn(u8) -> bool) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest, mut literal) = (Vec::new(), text, String::new());
    while let Some(at) = rest.find(':') {
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        let name = &behind[..name_length(behind)];
        literal.push_str(before);
        rest = &behind[name.len()..];
        match from.position(name).filter(|_| !name.is_empty()) {
            Some(position) => {
                push_text(&mut parts, &std::mem::take(&mut literal), kept)?;
                parts.push(Part::Capture(position));
            }
            None if !name.is_empty() && (literal.is_empty() || literal.ends_with(['/', '='])) => {
                let why = if name == SPLAT { "the rule's path has no '*'" } else { "the rule's path has no such name" };
                return Err(format!("{text}: :{name} has no value, for {why}"));
            }
            None => {
                literal.push(':');
                literal.push_str(name);
            }
        }
    }
    literal.push_str(rest);
    push_text(&mut parts, &literal, kept)?;
    Ok(parts)
}

fn push_text(parts: &mut Vec<Part>, text: &str, kept: fn(u8) -> bool) -> Result<(), String> {
    let mut pieces = text.split('%');
    let mut encoded = String::with_capacity(text.len());
    encode(pieces.next().unwrap_or_default(), kept, &mut encoded);
    for piece in pieces {
        let is_escape = piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        if !is_escape {
            return Err(format!("{text}: '%' is followed by two hexadecimal digits; write %25 for itself"));
        }
        encoded.push('%');
        encode(piece, kept, &mut encoded);
    }
    if !encoded.is_empty() {
        parts.push(Part::Text(encoded));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
