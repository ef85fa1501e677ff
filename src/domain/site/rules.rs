//! The rules of a site: its files `_redirects` and `_headers`, read together.

use super::headers::{self, Block};
use super::redirects::Redirects;
use super::rule_problem::{Problems, RuleFile, RuleProblem};

/// The rules of a site.
#[derive(Debug, Default)]
pub struct Rules {
    pub(super) redirects: Redirects,
    pub(super) blocks: Vec<Block>,
}

impl Rules {
    /// Reads the rules of a site that was published already, as far as they can be understood: a line with a problem
    /// counts as absent. Absent files have no rules. What is published now is checked by `Rules::parse`.
    #[must_use]
    pub fn read(redirects: Option<&[u8]>, headers: Option<&[u8]>) -> (Self, Vec<RuleProblem>) {
        let (mut of_redirects, mut of_headers) = (Problems::new(RuleFile::Redirects), Problems::new(RuleFile::Headers));
        let text = redirects.and_then(|bytes| of_redirects.text(bytes));
        let redirects = text.map(|text| Redirects::read(text, &mut of_redirects)).unwrap_or_default();
        let text = headers.and_then(|bytes| of_headers.text(bytes));
        let blocks = text.map(|text| headers::read(text, &mut of_headers)).unwrap_or_default();
        let problems = of_redirects.into_list().into_iter().chain(of_headers.into_list()).collect();
        (Self { redirects, blocks }, problems)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.redirects.iter().next().is_none() && self.blocks.is_empty()
    }
}

#[cfg(test)]
mod tests;
