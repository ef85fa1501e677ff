//! Several problems as one error.

use crate::cli::CliError;

/// Maximum number of problems that are listed; the rest are only counted.
const MAX_LISTED: usize = 20;

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    listed: Vec<CliError>,
    more: usize,
}

impl Problems {
    pub(super) fn add(&mut self, error: CliError) {
        if self.listed.len() < MAX_LISTED {
            self.listed.push(error);
        } else {
            self.more += 1;
        }
    }

    /// How many problems were added.
    pub(super) fn count(&self) -> usize {
        self.listed.len() + self.more
    }

    /// Fails if there are problems: with the only one, or with the exit code of the first and the texts of all.
    pub(super) fn into_result(mut self) -> Result<(), CliError> {
        if self.listed.len() < 2 {
            return self.listed.pop().map_or(Ok(()), Err);
        }
        let mut texts: Vec<String> = self.listed.iter().map(ToString::to_string).collect();
        if self.more > 0 {
            texts.push(format!("and {} more", self.more));
        }
        let detail = format!("These files cannot be published.\n  - {}", texts.join("\n  - "));
        Err(self.listed.swap_remove(0).with_detail(detail).with("problems", texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_problems_are_one_bounded_error() {
        assert!(Problems::default().into_result().is_ok());
        let of = |count: usize| {
            let mut problems = Problems::default();
            (0..count).for_each(|i| problems.add(CliError::usage(format!("problem {i}"))));
            problems.into_result().unwrap_err().to_string()
        };
        assert_eq!(of(1), "problem 0");
        assert!(of(2).contains("problem 0") && of(2).contains("problem 1"));
        assert!(of(1000).contains("and 980 more") && of(1000).lines().count() == 22);
    }
}
