//! Patterns over paths: of redirects (whole segments, matched segment by segment) and of headers (one `*` anywhere).
//! Neither backtracks.

use super::path::SitePath;

/// The name under which the end of a path that `*` matches is used.
pub(super) const SPLAT: &str = "splat";

/// The `from` of a redirect: literal segments, `:name` for one segment, and `*` as the last segment for all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    segments: Vec<Segment>,
    /// Whether everything behind the segments matches, too.
    splat: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// This decoded text. Empty as the last segment of a path that ends with a slash.
    Literal(Box<str>),
    /// Any text that is not empty, under a name.
    Named(Box<str>),
}

/// Parts of a path that a route matched, in the order of their names: as they were sent.
pub(super) type Captures<'a> = Vec<&'a str>;

impl Route {
    /// Parses a route.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let inside = text.strip_suffix('*').filter(|rest| rest.ends_with('/'));
        let (literal, splat) = inside.map_or((text, false), |rest| (&rest[..rest.len() - 1], true));
        if literal.contains('*') {
            return Err(format!("{text}: '*' must be the whole last segment, such as /blog/*"));
        }
        let path = SitePath::parse(if literal.is_empty() { "/" } else { literal })
            .map_err(|problem| format!("{text}: {problem}; no request has such a path"))?;
        if !path.is_canonical() {
            return Err(format!("{text}: write {}, which other spellings are redirected to", path.encoded()));
        }
        let decoded = if literal.is_empty() { "" } else { &path.as_str()[1..] };
        let all = decoded.split('/').filter(|_| !literal.is_empty());
        let segments: Vec<Segment> = all.map(segment).collect();
        let is_half_a_name = |segment: &&Segment| match segment {
            Segment::Literal(text) => text.strip_prefix(':').is_some_and(|rest| name_length(rest) > 0),
            Segment::Named(_) => false,
        };
        if segments.iter().any(|segment| is_half_a_name(&segment)) {
            return Err(format!("{text}: a name is a whole segment of letters, digits and '_', such as /:year/:title"));
        }
        let mut names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{text}: the name :{} occurs twice", pair[0]));
        }
        if names.contains(&SPLAT) {
            return Err(format!("{text}: :{SPLAT} is the name of what '*' matches; choose another one"));
        }
        Ok(Self { segments, splat })
    }

    /// The path that it matches, if that is only one.
    pub(super) fn literal(&self) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            let Segment::Literal(text) = segment else { return None };
            path.push('/');
            path.push_str(text);
        }
        (!self.splat).then_some(path)
    }

    /// Whether it ends with `*`.
    pub(super) fn has_splat(&self) -> bool {
        self.splat
    }

    /// The position of a name among the captures.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let mut names = self.segments.iter().filter_map(Segment::name).chain(self.splat.then_some(SPLAT));
        names.position(|own| own == name)
    }

    /// What it captures of a path, if it matches.
    pub(super) fn captures<'a>(&self, path: &'a SitePath) -> Option<Captures<'a>> {
        let (mut decoded, mut raw) = (Some(&path.as_str()[1..]), &path.encoded()[1..]);
        let mut captures = Vec::new();
        for segment in &self.segments {
            let (first, rest) = split_first(decoded?);
            let (raw_first, raw_rest) = split_first(raw);
            match segment {
                Segment::Literal(text) if &**text == first => {}
                Segment::Named(_) if !first.is_empty() => captures.push(raw_first),
                _ => return None,
            }
            (decoded, raw) = (rest, raw_rest.unwrap_or_default());
        }
        if decoded.is_some() != self.splat {
            return None;
        }
        captures.extend(self.splat.then_some(raw));
        Some(captures)
    }

    /// Whether it matches every path that the other one matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let (mine, others) = (self.segments.len(), other.segments.len());
        let is_long_enough = if self.splat { others > mine || (others == mine && other.splat) } else { mine == others };
        let pairs = self.segments.iter().zip(&other.segments);
        is_long_enough
            && self.splat >= other.splat
            && pairs.into_iter().all(|pair| match pair {
                (Segment::Literal(own), Segment::Literal(text)) => own == text,
                (Segment::Literal(_), Segment::Named(_)) => false,
                (Segment::Named(_), Segment::Literal(text)) => !text.is_empty(),
                (Segment::Named(_), Segment::Named(_)) => true,
            })
    }

    /// A path that it matches, with this text and different numbers in place of what it captures.
    pub(super) fn example(&self, capture: &str) -> String {
        let (mut path, mut number) = (String::new(), 0);
        let mut next = || {
            number += 1;
            format!("{capture}{number}")
        };
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Named(_) => path.push_str(&next().replace('/', "-")),
            }
        }
        if self.splat {
            path.push('/');
            path.push_str(&next());
        }
        path
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        if let Self::Named(name) = self { Some(name) } else { None }
    }
}

fn segment(text: &str) -> Segment {
    match text.strip_prefix(':').filter(|name| name_length(name) == name.len() && !name.is_empty()) {
        Some(name) => Segment::Named(name.into()),
        None => Segment::Literal(text.into()),
    }
}

/// The length of the name `[A-Za-z][A-Za-z0-9_]*` that a text begins with.
pub(super) fn name_length(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn split_first(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

/// The path of a block of headers: literal text, `:name` for one segment, and at most one `*` for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// What stands before `*`, or all.
    before: Vec<Piece>,
    /// What stands behind `*`, if there is one.
    behind: Option<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    /// One segment that is not empty.
    Segment,
}

impl Scope {
    /// Parses the path of a block.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("//") || !text.starts_with('/') {
            return Err(format!("{text}: the path of a block begins with one '/', and has no host"));
        }
        // As the paths of files it is matched with: decoded and composed.
        let path = SitePath::parse(text).map_err(|problem| format!("{text}: {problem}; no file has such a path"))?;
        if !path.is_canonical() {
            return Err(format!("{text}: write {}, the form that paths of files have", path.encoded()));
        }
        let (before, behind) = path.as_str().split_once('*').map_or((path.as_str(), None), |(a, b)| (a, Some(b)));
        if behind.is_some_and(|behind| behind.contains('*')) {
            return Err(format!("{text}: a path has one '*' at most; write a block for each"));
        }
        Ok(Self { before: pieces(before), behind: behind.map(pieces) })
    }

    /// Whether it matches a decoded path, which begins with a slash.
    pub(super) fn matches(&self, path: &str) -> bool {
        let Some(rest) = strip_pieces(path, &self.before) else { return false };
        match &self.behind {
            Some(behind) => ends_with_pieces(rest, behind),
            None => rest.is_empty(),
        }
    }
}

/// A literal for everything between the segments that are a name.
fn pieces(text: &str) -> Vec<Piece> {
    let (mut pieces, mut literal) = (Vec::new(), String::new());
    for (index, part) in text.split('/').enumerate() {
        if index > 0 {
            literal.push('/');
        }
        if index > 0 && segment(part).name().is_some() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
            pieces.push(Piece::Segment);
        } else {
            literal.push_str(part);
        }
    }
    pieces.push(Piece::Literal(literal.into()));
    pieces
}

/// What stands behind the pieces, if the text begins with them.
fn strip_pieces<'a>(mut text: &'a str, pieces: &[Piece]) -> Option<&'a str> {
    for piece in pieces {
        text = match piece {
            Piece::Literal(literal) => text.strip_prefix(&**literal)?,
            Piece::Segment => {
                let end = text.find('/').unwrap_or(text.len());
                Some(&text[end..]).filter(|_| end > 0)?
            }
        };
    }
    Some(text)
}

fn ends_with_pieces(mut text: &str, pieces: &[Piece]) -> bool {
    for piece in pieces.iter().rev() {
        let rest = match piece {
            Piece::Literal(literal) => text.strip_suffix(&**literal),
            Piece::Segment => {
                let start = text.rfind('/').map_or(0, |at| at + 1);
                Some(&text[..start]).filter(|_| start < text.len())
            }
        };
        let Some(rest) = rest else { return false };
        text = rest;
    }
    true
}

#[cfg(test)]
mod tests;
