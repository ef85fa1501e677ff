//! Files that are left out of a site unless they are asked for: what version control, editors and package managers
//! leave behind, some of it secret.

/// Directories and files, by the name of a segment.
const NAMES: [&str; 6] = [".git", ".svn", ".hg", ".DS_Store", "Thumbs.db", "node_modules"];

/// Whether a file is left out, given its path below the directory that is published. Other names that begin with a dot
/// stay, such as `.well-known`.
#[must_use]
pub fn is_ignored(path: &str) -> bool {
    let is_swap_file = |segment: &str| segment.strip_suffix(".swp").is_some_and(|stem| !stem.is_empty());
    path.split('/').any(|segment| NAMES.contains(&segment) || segment.starts_with(".env") || is_swap_file(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_leftovers_are_left_out_and_well_known_stays() {
        for path in [
            ".git/config",
            "a/.git",
            ".svn/x",
            ".hg/x",
            ".DS_Store",
            "img/.DS_Store",
            ".env",
            ".env.production",
            "a/.envrc",
            ".index.html.swp",
            "Thumbs.db",
            "node_modules/x/y.js",
            "a/node_modules/x",
        ] {
            assert!(is_ignored(path), "{path}");
        }
        for path in [
            ".well-known/security.txt",
            ".nojekyll",
            ".gitignore",
            ".htaccess",
            "git/x",
            "a.env",
            "env.js",
            "node_modules.html",
            "x.swp.html",
            "index.html",
        ] {
            assert!(!is_ignored(path), "{path}");
        }
    }
}
