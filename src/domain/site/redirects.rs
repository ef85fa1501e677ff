//! The file `_redirects`: one rule a line, `from to [status[!]]`.

use std::collections::HashMap;

use super::path::SitePath;
use super::pattern::{Captures, Route};
use super::rule_problem::Problems;
use super::target::Target;

/// Maximum number of rules for one path each.
const MAX_LITERAL: usize = 5000;
/// Maximum number of rules with `:name` or `*`.
const MAX_PATTERNS: usize = 200;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Answers with a file of the site and this status: 200, 404, 410 or 451.
    Serve(u16),
    /// Redirects with this status: 301, 302, 303, 307 or 308.
    Redirect(u16),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its line in the file, from 1.
    pub(super) line: usize,
    pub(super) from: Route,
    pub(super) target: Target,
    pub(super) action: Action,
    /// Whether it applies although there is a file.
    pub(super) forced: bool,
}

/// All rules, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    rules: Vec<Rule>,
    /// Those without `!`, and those with it.
    tables: [Table; 2],
}

/// Positions of rules.
#[derive(Debug, Default)]
struct Table {
    literal: HashMap<Box<str>, usize>,
    patterns: Vec<usize>,
}

impl Redirects {
    /// Reads the rules, leaving out the lines that have problems.
    pub(super) fn read(text: &str, problems: &mut Problems) -> Self {
        let mut redirects = Self::default();
        for (line, text) in problems.lines(text) {
            match rule(line, text) {
                Ok(None) => {}
                Ok(Some(rule)) => redirects.add(rule, problems),
                Err(problem) => problems.add(line, &problem),
            }
        }
        let literal: usize = redirects.tables.iter().map(|table| table.literal.len()).sum();
        let patterns = redirects.rules.len() - literal;
        if literal > MAX_LITERAL || patterns > MAX_PATTERNS {
            let found = format!("it has {literal} rules for one path and {patterns} patterns");
            problems
                .add(0, &format!("{found}; the limits are {MAX_LITERAL} and {MAX_PATTERNS}: use '*' to join rules"));
            return Self::default();
        }
        redirects
    }

    /// Adds a rule that can apply to some request as far as the other rules are concerned.
    fn add(&mut self, rule: Rule, problems: &mut Problems) {
        let literal = rule.from.literal();
        if let Some(earlier) = self.covering(&rule, literal.as_deref()) {
            let detail = format!("it never applies: line {} answers all of its paths; put it above that", earlier.line);
            problems.add(rule.line, &detail);
            return;
        }
        let (table, at) = (&mut self.tables[usize::from(rule.forced)], self.rules.len());
        match literal {
            Some(path) => drop(table.literal.insert(path.into(), at)),
            None => table.patterns.push(at),
        }
        self.rules.push(rule);
    }

    /// An earlier rule that applies to all paths of this one.
    fn covering(&self, rule: &Rule, literal: Option<&str>) -> Option<&Rule> {
        // Rules with `!` come before those without.
        let tables = &self.tables[usize::from(rule.forced)..];
        let same = literal.and_then(|path| tables.iter().find_map(|table| table.literal.get(path)));
        let patterns = tables.iter().flat_map(|table| &table.patterns).map(|at| &self.rules[*at]);
        // A file that depends on the path may be absent. Then the next rule counts.
        let patterns =
            patterns.filter(|earlier| !matches!(earlier.action, Action::Serve(_)) || earlier.target.is_fixed());
        same.map(|at| &self.rules[*at]).or_else(|| patterns.into_iter().find(|earlier| earlier.from.covers(&rule.from)))
    }

    /// The rules, in the order of the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The rules that match a path, with what they capture, in the order of the file: those with `!`, or those without.
    pub(super) fn matching<'a>(
        &'a self,
        path: &'a SitePath,
        forced: bool,
    ) -> impl Iterator<Item = (&'a Rule, Captures<'a>)> {
        let table = &self.tables[usize::from(forced)];
        let literal = table.literal.get(path.as_str()).copied();
        let (before, behind) =
            table.patterns.split_at(table.patterns.partition_point(|at| literal.is_none_or(|literal| *at < literal)));
        let candidates = before.iter().copied().chain(literal).chain(behind.iter().copied());
        candidates.filter_map(move |at| {
            let rule = &self.rules[at];
            Some((rule, rule.from.captures(path)?))
        })
    }
}

/// Parses a line. `None` if it has no rule.
fn rule(line: usize, text: &str) -> Result<Option<Rule>, String> {
    let tokens: Vec<&str> = text.split_whitespace().take_while(|token| !token.starts_with('#')).collect();
    let (from, to, status) = match tokens[..] {
        [] => return Ok(None),
        [from, to] => (from, to, "301"),
        [from, to, status] if is_status(status) => (from, to, status),
        _ => return Err(malformed(&tokens)),
    };
    if is_status(to) {
        return Err(format!("it has no target; write: {from} /target {to}"));
    }
    let number = status.trim_end_matches('!');
    let action = match number.parse() {
        Ok(status @ (200 | 404 | 410 | 451)) => Action::Serve(status),
        Ok(status @ (301 | 302 | 303 | 307 | 308)) => Action::Redirect(status),
        _ => return Err(format!("{number} is none of 200, 301, 302, 303, 307, 308, 404, 410, 451")),
    };
    let route = route(from)?;
    let target = Target::parse(to, &route)?;
    if let (Action::Serve(status), false) = (action, target.is_bare()) {
        let why = "is answered with a file of the site, so its target is a path without query; nothing is fetched from elsewhere";
        return Err(format!("{to}: a rule with status {status} {why}"));
    }
    Ok(Some(Rule { line, from: route, target, action, forced: status.ends_with('!') }))
}

fn is_status(token: &str) -> bool {
    let digits = token.strip_suffix('!').unwrap_or(token);
    digits.len() <= 3 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn route(from: &str) -> Result<Route, String> {
    if from.contains("://") && !from.starts_with('/') {
        return Err(format!("{from}: a rule is for paths, whatever the host; write what stands behind the host"));
    }
    if from.contains(['?', '#']) {
        return Err(format!("{from}: a rule is for paths, whatever the query; leave it out"));
    }
    Route::parse(from)
}

/// What is wrong with a line that is not `from to [status]`.
fn malformed(tokens: &[&str]) -> String {
    const CONDITIONS: [&str; 5] = ["country", "language", "role", "cookie", "sign"];
    let key = |token: &&str| token.split_once('=').map(|(key, _)| key.to_ascii_lowercase());
    let condition = tokens.iter().skip(1).filter_map(key).find(|key| !key.contains(['/', ':']));
    match condition {
        Some(key) if CONDITIONS.iter().any(|known| key.starts_with(known)) => {
            format!("a rule does not depend on anything but the path: leave {key}= out")
        }
        Some(key) => format!("a rule does not depend on the query: leave {key}= out"),
        None => format!("a rule has the form: /from /to [status[!]], this line has {} words", tokens.len()),
    }
}

#[cfg(test)]
mod tests;
