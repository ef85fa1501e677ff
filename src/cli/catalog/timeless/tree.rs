//! Reading a tree of catalogs.

use std::io;
use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::domain::catalog::{CatalogName, MAX_DOCUMENT, Problem, Rule};
use crate::domain::timeless::{LINEAGE_FILE, Lineage, MIRRORS_FILE, Mirrors};

/// Deepest directory that is searched: names of catalogs have fewer segments.
const DEEPEST: usize = 32;

/// The directory of the catalogs in a workspace.
pub(super) fn catalogs(workspace: &Path) -> PathBuf {
    workspace.join(".timeless/catalog")
}

/// A module in a tree.
#[derive(Debug)]
pub(super) struct FoundModule {
    pub(super) name: CatalogName,
    pub(super) path: PathBuf,
    pub(super) lineage: Lineage,
    pub(super) mirrors: Option<Mirrors>,
    /// Whether the lineage is in the canonical form, so that it is exported as it was.
    pub(super) is_canonical: bool,
}

/// A problem in a file.
#[derive(Debug)]
pub(super) struct FileProblem {
    pub(super) path: PathBuf,
    pub(super) problem: Problem,
}

/// The modules in a workspace or a tree, sorted by name, and what is wrong with others. Only those in `wanted` count,
/// unless it is empty.
pub(super) fn read(directory: &Path, wanted: &[CatalogName]) -> Result<(Vec<FoundModule>, Vec<FileProblem>), CliError> {
    let workspace = catalogs(directory);
    let root = if workspace.is_dir() { workspace } else { directory.to_owned() };
    let mut folders = Vec::new();
    search(&root, 0, &mut folders)
        .map_err(|error| CliError::io(format_args!("read the directory {}", root.display()), &error))?;
    folders.sort();
    let (mut modules, mut problems) = (Vec::new(), Vec::new());
    for folder in folders {
        let stated = folder.strip_prefix(&root).unwrap_or(&folder).to_string_lossy().into_owned();
        if !wanted.is_empty() && wanted.iter().all(|name| name.as_str() != stated) {
            continue;
        }
        match module(&folder, &stated) {
            Ok(module) => modules.push(module),
            Err(found) => problems.extend(found),
        }
    }
    for name in wanted {
        let path = root.join(name.as_str());
        if modules.iter().all(|module| module.name != *name) && problems.iter().all(|one| !one.path.starts_with(&path))
        {
            problems.push(problem(&path.join(LINEAGE_FILE), Rule::Document, "there is no such file"));
        }
    }
    Ok((modules, problems))
}

/// Finds the directories that have a lineage. Links are not followed, hidden directories are left out.
fn search(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if kind.is_dir() && depth < DEEPEST && !name.as_encoded_bytes().starts_with(b".") {
            search(&entry.path(), depth + 1, found)?;
        } else if kind.is_file() && name == LINEAGE_FILE && depth > 0 {
            found.push(directory.to_owned());
        }
    }
    Ok(())
}

fn problem(path: &Path, code: Rule, detail: impl Into<String>) -> FileProblem {
    let problem = Problem { code, place: String::new(), detail: detail.into() };
    FileProblem { path: path.to_owned(), problem }
}

fn module(folder: &Path, stated: &str) -> Result<FoundModule, Vec<FileProblem>> {
    let path = folder.join(LINEAGE_FILE);
    let mut problems = Vec::new();
    let name = stated.parse::<CatalogName>();
    let name = name.map_err(|error| problems.push(problem(&path, Rule::Name, error.to_string()))).ok();
    let bytes = bytes(&path).map_err(|found| problems.push(found)).ok();
    let lineage = bytes.as_deref().and_then(|bytes| {
        Lineage::read(bytes).map_err(|error| problems.push(problem(&path, Rule::Document, error.to_string()))).ok()
    });
    if let Some(lineage) = lineage.as_ref().filter(|lineage| lineage.name != stated) {
        let name: String = lineage.name.chars().take(64).collect();
        problems.push(problem(&path, Rule::Name, format!("it is the lineage of {name:?}, but lies in {stated}")));
    }
    let mirrors = mirrors(&folder.join(MIRRORS_FILE)).map_err(|found| problems.push(found)).ok();
    match (name, lineage, mirrors) {
        (Some(name), Some(lineage), Some(mirrors)) if problems.is_empty() => {
            let is_canonical = bytes.is_some_and(|bytes| bytes == lineage.write().as_bytes());
            Ok(FoundModule { name, path, lineage, mirrors, is_canonical })
        }
        _ => Err(problems),
    }
}

fn mirrors(path: &Path) -> Result<Option<Mirrors>, FileProblem> {
    if !path.exists() {
        return Ok(None);
    }
    let read = Mirrors::read(&bytes(path)?);
    read.map(Some).map_err(|error| problem(path, Rule::Document, error.to_string()))
}

/// The bytes of a file, unless it is too large.
fn bytes(path: &Path) -> Result<Vec<u8>, FileProblem> {
    let failed = |error: io::Error| problem(path, Rule::Document, format!("it cannot be read: {error}"));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_DOCUMENT {
        return Err(problem(path, Rule::Document, format!("it has {size} bytes, more than {MAX_DOCUMENT}")));
    }
    std::fs::read(path).map_err(failed)
}
