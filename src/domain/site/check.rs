//! The checks of rules against the files of the release that they are published with. All of it can be decided, because
//! the files are known.

use std::collections::HashSet;
use std::sync::Arc;

use crate::domain::Manifest;

use super::answer::{Outcome, RequestKind, Site};
use super::headers::FileHeaders;
use super::path::SitePath;
use super::redirects::{Action, Rule};
use super::resolve;
use super::rules::{Problems, RuleFile, RuleProblem, Rules};

/// Texts in place of what a rule captures, to follow its redirects.
const EXAMPLES: [&str; 2] = ["larder-example", "larder-example/and-more"];

impl Rules {
    /// Reads and checks the rules of a site before it is published. Absent files have no rules.
    ///
    /// # Errors
    /// Every problem, in the order of files and lines: of lines as [`Rules::read`] finds them; of rules that lead to
    /// absent files or in a circle, or can never apply; of files that get different values of one header field.
    pub fn parse(
        redirects: Option<&[u8]>,
        headers: Option<&[u8]>,
        manifest: &Arc<Manifest>,
    ) -> Result<Self, Vec<RuleProblem>> {
        let (rules, mut problems) = Self::read(redirects, headers);
        let site = Site::compile(Arc::clone(manifest), rules);
        problems.extend(check_redirects(&site));
        problems.extend(check_headers(&site));
        problems.sort_by_key(|problem| (problem.file, problem.line));
        if problems.is_empty() { Ok(site.into_rules()) } else { Err(problems) }
    }
}

fn check_redirects(site: &Site) -> Vec<RuleProblem> {
    let mut problems = Problems::new(RuleFile::Redirects);
    let mut ends = HashSet::new();
    for rule in site.rules().redirects.iter() {
        if let Some(problem) = shadowed(site, rule) {
            problems.add(rule.line, problem);
        }
        let fixed = rule.target.is_fixed().then(|| rule.target.path(&Vec::new()));
        if let (Action::Serve(status), Some(path)) = (rule.action, fixed)
            && site.target(rule, &Vec::new()).is_none()
        {
            problems.add(rule.line, format!("{path}: there is no such file to answer with status {status}"));
        }
        if let Some(problem) = EXAMPLES.iter().find_map(|example| circle(site, rule, example, &mut ends)) {
            problems.add(rule.line, problem);
        }
    }
    problems.into_list()
}

/// Why a rule without `!` can never apply, if a file answers its only path.
fn shadowed(site: &Site, rule: &Rule) -> Option<String> {
    let path = rule.from.literal().filter(|_| !rule.forced)?;
    let (name, is_directory) = (path.trim_matches('/'), path.ends_with('/'));
    resolve::resolve(site.files(), name, is_directory)?;
    let status = match rule.action {
        Action::Serve(status) | Action::Redirect(status) => status,
    };
    Some(format!("it never applies, for a file answers {path}; write {status}! to apply it all the same"))
}

/// The circle that the redirects of a rule lead into, if they do. `ends` are addresses that are known not to.
fn circle(site: &Site, rule: &Rule, example: &str, ends: &mut HashSet<String>) -> Option<String> {
    if matches!(rule.action, Action::Serve(_)) || !rule.target.is_inside() {
        return None;
    }
    let from = rule.from.example(example);
    let mut path = super::path::address(from.trim_matches('/'), from.ends_with('/'), None);
    let mut trail = HashSet::new();
    while !ends.contains(&path) {
        if !trail.insert(path.clone()) {
            return Some(format!("its redirects lead in a circle, by way of {path}"));
        }
        let parsed = SitePath::parse(&path).ok()?;
        match site.look(&parsed, None, RequestKind::default()) {
            Outcome::Redirect(redirect) if redirect.location.starts_with('/') => {
                let end = redirect.location.find(['?', '#']).unwrap_or(redirect.location.len());
                path = redirect.location[..end].to_owned();
            }
            _ => break,
        }
    }
    ends.extend(trail);
    None
}

/// Finds files that get different values of one field from several blocks: of the two formats in use, one takes the
/// later value and the other one both.
fn check_headers(site: &Site) -> Vec<RuleProblem> {
    let mut problems = Problems::new(RuleFile::Headers);
    let blocks = &site.rules().blocks;
    let names = || blocks.iter().flat_map(|block| &block.fields).map(|field| &field.name);
    let mut once = HashSet::new();
    let repeated: HashSet<_> = names().filter(|name| !once.insert(*name)).collect();
    let relevant: Vec<_> =
        blocks.iter().filter(|block| block.fields.iter().any(|field| repeated.contains(&field.name))).collect();
    if relevant.len() < 2 {
        return Vec::new();
    }
    let mut lines = HashSet::new();
    for file in site.files().ids() {
        let (paths, mut headers) = (site.paths(file), FileHeaders::default());
        for block in relevant.iter().filter(|block| paths.iter().any(|path| block.scope.matches(path))) {
            for field in headers.apply(block) {
                if lines.insert(field.line) {
                    let (name, path) = (&field.name, &paths[0]);
                    let remedy = format!("write ! {name} above it, or paths that do not overlap");
                    problems
                        .add(field.line, format!("{path} has another value of {name} from an earlier block; {remedy}"));
                }
            }
        }
    }
    problems.into_list()
}

#[cfg(test)]
mod tests;
