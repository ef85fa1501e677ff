//! The checks of rules against the files of the release that they are published with. All of it can be decided, because
//! the files are known.

use std::collections::{HashMap, HashSet};

use crate::domain::Manifest;

use super::answer::{Outcome, RequestKind, Site};
use super::headers::FileHeaders;
use super::path::SitePath;
use super::redirects::{Action, Rule};
use super::resolve;
use super::rule_problem::{Problems, RuleFile, RuleProblem};
use super::rules::Rules;

/// Texts in place of what a rule captures, to follow its redirects.
const EXAMPLES: [&str; 2] = ["larder-example", "larder-example/and-more"];

/// Redirects that may follow each other: as many as browsers follow.
const MAX_STEPS: usize = 20;

impl Rules {
    /// Reads and checks the rules of a site before it is published. Absent files have no rules.
    ///
    /// # Errors
    /// Every problem, in the order of files and lines: of lines as [`Rules::read`] finds them; of rules that lead to
    /// absent files or in a circle, or can never apply; of files that get different values of one header field.
    pub fn parse(
        redirects: Option<&[u8]>,
        headers: Option<&[u8]>,
        manifest: &Manifest,
    ) -> Result<Self, Vec<RuleProblem>> {
        let (rules, mut problems) = Self::read(redirects, headers);
        let site = Site::compile(manifest, rules);
        problems.extend(check_redirects(&site));
        problems.extend(check_headers(&site));
        problems.sort_by_key(|problem| (problem.file, problem.line));
        if problems.is_empty() { Ok(site.into_rules()) } else { Err(problems) }
    }
}

impl Site {
    /// What a publisher should know of rules that are taken: they mean something else elsewhere.
    #[must_use]
    pub fn remarks(&self) -> Vec<RuleProblem> {
        let mut remarks = Problems::new(RuleFile::Redirects);
        for rule in self.rules().redirects.iter().filter(|rule| rule.action == Action::Serve(200) && !rule.forced) {
            let page = self.target(rule, &[]).filter(|file| rule.from.has_splat() && self.is_shell(rule, *file));
            if let Some(file) = page {
                let (name, why) =
                    (&self.file_of(file).name, "a script or image that is not there is answered with 404");
                remarks.add(rule.line, &format!("{name} answers navigations only; {why}"));
            }
        }
        remarks.into_list()
    }
}

fn check_redirects(site: &Site) -> Vec<RuleProblem> {
    let mut problems = Problems::new(RuleFile::Redirects);
    let mut steps = HashMap::new();
    for rule in site.rules().redirects.iter() {
        if let Some(problem) = shadowed(site, rule) {
            problems.add(rule.line, &problem);
        }
        let fixed = rule.target.is_fixed().then(|| rule.target.path(&[]));
        if let (Action::Serve(status), Some(path)) = (rule.action, fixed)
            && site.target(rule, &[]).is_none()
        {
            problems.add(rule.line, &format!("{path}: there is no such file to answer with status {status}"));
        }
        if let Some(problem) = EXAMPLES.iter().find_map(|example| endless(site, rule, example, &mut steps)) {
            problems.add(rule.line, &problem);
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

/// Why the redirects that a rule begins do not end, if they do not. `steps` are the lengths of the ways that are known.
fn endless(site: &Site, rule: &Rule, example: &str, steps: &mut HashMap<String, usize>) -> Option<String> {
    if matches!(rule.action, Action::Serve(_)) || !rule.target.is_inside() {
        return None;
    }
    let from = rule.from.example(example);
    let first = super::path::address(from.trim_matches('/'), from.ends_with('/'), None);
    if leads_to_itself(rule, &first) {
        return Some(format!("its redirects lead in a circle, by way of {first}"));
    }
    let mut next = Some(first);
    let (mut trail, mut behind) = (Vec::new(), 0);
    while let Some(path) = next.take() {
        if let Some(known) = steps.get(&path) {
            behind = known + 1;
        } else if trail.contains(&path) {
            return Some(format!("its redirects lead in a circle, by way of {path}"));
        } else {
            next = redirected(site, &path);
            trail.push(path);
        }
        if trail.len() + behind > MAX_STEPS + 1 {
            return Some(format!("its redirects do not end within {MAX_STEPS} steps; browsers give up"));
        }
    }
    for path in trail.into_iter().rev() {
        steps.insert(path, behind);
        behind += 1;
    }
    None
}

/// Whether a rule redirects an address to just this address. Visitors never see that: such a rule is passed over.
fn leads_to_itself(rule: &Rule, address: &str) -> bool {
    let Ok(path) = SitePath::parse(address) else { return false };
    rule.from.captures(&path).is_some_and(|captures| rule.target.location(&captures, None) == address)
}

/// The address on the same site that a path is redirected to.
fn redirected(site: &Site, path: &str) -> Option<String> {
    let Outcome::Redirect(redirect) = site.look(&SitePath::parse(path).ok()?, None, RequestKind::default()) else {
        return None;
    };
    let end = redirect.location.find(['?', '#']).unwrap_or(redirect.location.len());
    redirect.location.starts_with('/').then(|| redirect.location[..end].to_owned())
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
        let matching = relevant.iter().filter(|block| paths.iter().any(|path| block.scope.matches(path)));
        let differing: Vec<_> = matching.flat_map(|block| headers.apply(block)).collect();
        for field in differing.into_iter().filter(|field| lines.insert(field.line)) {
            let (name, path) = (&field.name, &paths[0]);
            let remedy = format!("write ! {name} above it, or paths that do not overlap");
            let problem = format!("{path} has another value of {name} from an earlier block; {remedy}");
            problems.add(field.line, &problem);
        }
    }
    problems.into_list()
}

#[cfg(test)]
mod tests;
