//! Which file of `src/` uses which, read from its text: `use` declarations and paths in the code, each followed through
//! re-exports to the file that defines what is named. Code that is only compiled for tests does not count.
//!
//! This is no compiler: it knows modules, imports and paths, and takes every other name for an item of the module where
//! it is looked for. Glob imports and modules within a file are refused, so that it stays right.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};

/// Imports that lead in a circle, or much further than anybody would write, end the search.
const MAX_DEPTH: usize = 20;

/// What one file says, as far as other files are concerned.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    /// Child modules, with the path of their file if it is not the usual one.
    children: BTreeMap<String, Option<String>>,
    /// Children that are only compiled for tests.
    tests: BTreeSet<String>,
    /// Imported names and where they lead.
    imports: BTreeMap<String, Vec<String>>,
    /// Imports under no name, of traits.
    nameless: Vec<Vec<String>>,
    /// Paths of two segments and more in the code.
    paths: BTreeSet<Vec<String>>,
}

/// Words, punctuation, `::`, and strings, which begin with a quote. Comments, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    while at < letters.len() {
        let rest = &letters[at..];
        let starts = |start: &str| start.chars().enumerate().all(|(n, letter)| rest.get(n) == Some(&letter));
        let length = if starts("//") {
            rest.iter().position(|letter| *letter == '\n').unwrap_or(rest.len())
        } else if starts("/*") {
            rest.windows(2).position(|pair| pair == ['*', '/']).map_or(rest.len(), |end| end + 2)
        } else if starts("r\"") || starts("r#") {
            let hashes = rest[1..].iter().take_while(|letter| **letter == '#').count();
            let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let body = 2 + hashes;
            rest[body..]
                .windows(end.len())
                .position(|found| found == end)
                .map_or(rest.len(), |at| body + at + end.len())
        } else if starts("\"") {
            let length = string(rest);
            found.push(rest[..length - 1].iter().collect());
            length
        } else if starts("'") {
            character(rest)
        } else if is_word(rest[0]) {
            let length = rest.iter().take_while(|letter| is_word(**letter)).count();
            found.push(rest[..length].iter().collect());
            length
        } else if starts("::") {
            found.push("::".to_owned());
            2
        } else {
            if !rest[0].is_whitespace() {
                found.push(rest[0].to_string());
            }
            1
        };
        at += length;
    }
    found
}

/// The length of the string that this begins with, both quotes included.
fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of the character, or the quote of the lifetime, that this begins with.
fn character(rest: &[char]) -> usize {
    match rest.get(1) {
        Some('\\') => rest.iter().skip(3).position(|letter| *letter == '\'').map_or(rest.len(), |end| end + 4),
        Some(_) if rest.get(2) == Some(&'\'') => 3,
        _ => 1,
    }
}

/// Where the item that begins here ends: behind its `;`, or behind the brace that closes its body.
fn end_of_item(tokens: &[String], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (token == ";" || token == "}") {
            return at + 1;
        }
    }
    tokens.len()
}

/// The paths of a tree of imports, with the names that they get; `None` for those that get none. Returns where it ends.
fn import_tree(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(Vec<String>, Option<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens[at].as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at = import_tree(tokens, at, &path, found);
                    at += usize::from(tokens[at] == ",");
                }
                return at + 1;
            }
            "as" => {
                let name = tokens[at + 1].clone();
                found.push((path, Some(name).filter(|name| name != "_")));
                return at + 2;
            }
            "," | "}" | ";" => {
                // `a::{self}` imports `a`.
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                let name = path.last().cloned();
                found.push((path, name));
                return at;
            }
            word => {
                path.push(word.to_owned());
                at += 1;
            }
        }
    }
}

impl Source {
    fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let (mut source, mut at) = (Self::default(), 0);
        let (mut of_tests, mut file) = (false, None);
        while at < tokens.len() {
            let token = tokens[at].as_str();
            let next = tokens.get(at + 1).map_or("", String::as_str);
            if token == "#" && next == "[" {
                let end = end_of_item_list(&tokens, at + 1);
                let attribute = tokens[at + 2..end - 1].concat();
                of_tests |= attribute == "cfg(test)";
                file = attribute.strip_prefix("path=\"").map(str::to_owned).or(file);
                at = end;
            } else if token == "mod" && tokens.get(at + 2).is_some_and(|token| token == ";") {
                source.children.insert(next.to_owned(), file.take());
                if std::mem::take(&mut of_tests) {
                    source.tests.insert(next.to_owned());
                }
                at += 3;
            } else if std::mem::take(&mut of_tests) {
                at = end_of_item(&tokens, at);
            } else if token == "mod" && tokens.get(at + 2).is_some_and(|token| token == "{") {
                panic!("module {next}: give it a file of its own");
            } else if token == "use" && next != "<" {
                // With `<` it says what a type captures.
                let mut found = Vec::new();
                at = import_tree(&tokens, at + 1, &[], &mut found);
                for (path, name) in found {
                    assert!(path.last().is_none_or(|last| last != "*"), "{}: name what is imported", path.join("::"));
                    match name {
                        Some(name) => drop(source.imports.insert(name, path)),
                        None => source.nameless.push(path),
                    }
                }
            } else if next == "::" && token.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') {
                at += source.path(&tokens[at..]);
            } else {
                at += 1;
            }
        }
        source
    }

    /// Takes in the path that this begins with. Returns its length.
    fn path(&mut self, tokens: &[String]) -> usize {
        let mut path = vec![tokens[0].clone()];
        let mut at = 1;
        while tokens.get(at).is_some_and(|token| token == "::") {
            match tokens.get(at + 1) {
                Some(word) if word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_') => {
                    path.push(word.clone());
                    at += 2;
                }
                _ => {
                    at += 1;
                    break;
                }
            }
        }
        if path.len() > 1 {
            self.paths.insert(path);
        }
        at
    }
}

/// Where a bracketed list ends that begins here.
fn end_of_item_list(tokens: &[String], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.as_str() {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// A module with its file.
#[derive(Debug)]
struct Module {
    file: String,
    source: Source,
}

/// The modules of a crate, by their paths below it. The root is the empty path.
#[derive(Debug, Default)]
pub(crate) struct Crate(BTreeMap<Vec<String>, Module>);

impl Crate {
    /// Reads a crate from its files, beginning at this one.
    pub(crate) fn read(files: &[(String, String)], root: &str) -> Self {
        let files: BTreeMap<&str, &str> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let mut found = Self::default();
        let mut open = VecDeque::from([(Vec::new(), root.to_owned())]);
        while let Some((module, file)) = open.pop_front() {
            let text = files.get(file.as_str()).unwrap_or_else(|| panic!("{file} is not there"));
            let source = Source::read(text);
            let directory = if module.is_empty() {
                Path::new(&file).parent().unwrap_or(Path::new("")).to_owned()
            } else {
                Path::new(&file).with_extension("")
            };
            for (name, path) in source.children.iter().filter(|(name, _)| !source.tests.contains(*name)) {
                let child = match path {
                    Some(path) => plain(&Path::new(&file).parent().unwrap_or(Path::new("")).join(path)),
                    None => directory.join(name).with_extension("rs"),
                };
                let child = child.to_str().expect("paths are text").to_owned();
                open.push_back(([module.as_slice(), std::slice::from_ref(name)].concat(), child));
            }
            found.0.insert(module, Module { file, source });
        }
        found
    }

    /// The module that defines what a path names, seen from a module. `None` for what is not of this crate, and for a
    /// path that ends at a module: what is used of it is said by another path.
    fn definer(&self, from: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        let (mut module, mut rest) = (from.to_vec(), path);
        match path.first()?.as_str() {
            "crate" => (module, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {}
            name => {
                let source = &self.0.get(from)?.source;
                // Anything else is of another crate, or of this very file.
                if !source.children.contains_key(name) && !source.imports.contains_key(name) {
                    return None;
                }
            }
        }
        while rest.first().is_some_and(|segment| segment == "super") {
            module.pop()?;
            rest = &rest[1..];
        }
        while let Some((name, behind)) = rest.split_first() {
            let source = &self.0.get(&module)?.source;
            if source.children.contains_key(name) {
                module.push(name.clone());
                rest = behind;
            } else if let Some(import) = source.imports.get(name) {
                // An import such as `use tokio;` names itself.
                if depth == MAX_DEPTH || import[..] == rest[..1] {
                    return None;
                }
                return self.definer(&module, &[import, behind].concat(), depth + 1);
            } else {
                return Some(module);
            }
        }
        None
    }

    /// For each file the files that define what it uses, itself left out.
    pub(crate) fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let uses = self.0.iter().map(|(path, module)| {
            let source = &module.source;
            let named = source.imports.values().chain(&source.nameless).chain(&source.paths);
            let definers = named.filter_map(|named| self.definer(path, named, 0));
            let files = definers.filter_map(|definer| self.0.get(&definer)).map(|module| module.file.as_str());
            (module.file.as_str(), files.filter(|file| *file != module.file).collect())
        });
        uses.collect()
    }

    /// Circles of files, each as the shortest way around. A file may use its own ancestors, as rooms of one house use
    /// the hall: such a step is no part of a circle.
    pub(crate) fn circles(&self) -> Vec<Vec<&str>> {
        let paths: BTreeMap<&str, &[String]> =
            self.0.iter().map(|(path, module)| (module.file.as_str(), path.as_slice())).collect();
        let mut steps = self.uses();
        for (from, to) in &mut steps {
            to.retain(|to| !paths[from].starts_with(paths[to]));
        }
        let mut circles = BTreeSet::new();
        for (from, to) in &steps {
            for first in to {
                if let Some(mut circle) = way(&steps, first, from) {
                    let least = circle.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(at, _)| at);
                    circle.rotate_left(least);
                    circles.insert(circle);
                }
            }
        }
        circles.into_iter().collect()
    }
}

/// The shortest way from one file to another, both included.
fn way<'a>(steps: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let (mut before, mut open) = (BTreeMap::from([(from, None)]), VecDeque::from([from]));
    while let Some(file) = open.pop_front() {
        if file == to {
            let mut way: Vec<&str> = std::iter::successors(Some(file), |file| before[file]).collect();
            way.reverse();
            return Some(way);
        }
        for next in &steps[file] {
            if !before.contains_key(next) {
                before.insert(next, Some(file));
                open.push_back(next);
            }
        }
    }
    None
}

/// A path without `..` in it.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
        plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate of these files, and what they use, as `from -> to`.
    fn uses(files: &[(&str, &str)]) -> (Crate, Vec<String>) {
        let files: Vec<_> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let found = Crate::read(&files, "src/lib.rs");
        let lines =
            found.uses().iter().flat_map(|(from, to)| to.iter().map(move |to| format!("{from} -> {to}"))).collect();
        (found, lines)
    }

    #[test]
    fn what_is_no_code_is_left_out() {
        let text = "a // b::c\n/* d::e */ \"f::\\\"g\" r#\"h\"::i\"# 'j' '\\'' <'k> l::m";
        assert_eq!(tokens(text), ["a", "\"f::\\\"g", "<", "k", ">", "l", "::", "m"]);
    }

    #[test]
    fn imports_and_paths_are_found() {
        let text = "use a::{self, b::{C, D as E}, f};\nuse super::g::T as _;\npub use h::I;\n\
                    fn x() -> j::K<l::M> + use<'a> { j::n::<u8>(); crate::o::p(); $crate::q::r!() }";
        let source = Source::read(text);
        let imports: Vec<_> = source.imports.iter().map(|(name, path)| format!("{name}={}", path.join("::"))).collect();
        assert_eq!(imports, ["C=a::b::C", "E=a::b::D", "I=h::I", "a=a", "f=a::f"]);
        assert_eq!(source.nameless, [["super", "g", "T"]]);
        let paths: Vec<_> = source.paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["crate::o::p", "crate::q::r", "j::K", "j::n", "l::M"]);
    }

    #[test]
    fn what_is_only_for_tests_does_not_count() {
        let text = "mod a;\n#[cfg(test)]\nmod b;\n#[cfg(test)]\nmod c { use x::Y; }\n#[cfg(test)]\nuse d::E;\nuse f::G;\n\
                    #[path = \"../m/1.rs\"]\nmod h;";
        let source = Source::read(text);
        assert_eq!(source.children.keys().collect::<Vec<_>>(), ["a", "b", "h"]);
        assert_eq!((source.tests.len(), source.children["h"].as_deref()), (1, Some("../m/1.rs")));
        assert_eq!(source.imports.keys().collect::<Vec<_>>(), ["G"]);
    }

    #[test]
    fn names_lead_through_re_exports_to_the_file_that_defines_them() {
        let (_, lines) = uses(&[
            ("src/lib.rs", "pub mod a; mod b;"),
            ("src/a.rs", "mod deep; pub use deep::Thing; pub use self::deep as renamed; pub struct Own;"),
            ("src/a/deep.rs", "use super::Own; pub struct Thing; pub fn act() {}"),
            (
                "src/b.rs",
                "use crate::a::{self, Thing}; use std::fmt; fn f() { a::renamed::act(); a::Own::new(); fmt::x(); Thing::y() }",
            ),
        ]);
        let expected = [
            "src/a.rs -> src/a/deep.rs",
            "src/a/deep.rs -> src/a.rs",
            "src/b.rs -> src/a.rs",
            "src/b.rs -> src/a/deep.rs",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_module_may_have_its_file_elsewhere() {
        let (_, lines) = uses(&[
            ("src/lib.rs", "mod a;"),
            ("src/a.rs", "mod b;"),
            ("src/a/b.rs", "#[path = \"../../steps/1.rs\"]\nmod one; pub struct Step; fn f() { one::go() }"),
            ("steps/1.rs", "use super::Step; pub fn go() {}"),
        ]);
        assert_eq!(lines, ["src/a/b.rs -> steps/1.rs", "steps/1.rs -> src/a/b.rs"]);
    }

    #[test]
    fn a_circle_is_found_and_a_parent_with_its_child_is_none() {
        let files = [
            ("src/lib.rs", "mod a; mod b; mod c;"),
            ("src/a.rs", "mod child; pub use crate::c::Z; pub struct X; fn f() { child::help() }"),
            ("src/a/child.rs", "use super::X; pub fn help() {}"),
            ("src/b.rs", "pub struct Y; fn f() { crate::a::X::new() }"),
            ("src/c.rs", "pub struct Z; use crate::b::Y;"),
        ];
        let (found, _) = uses(&files);
        assert_eq!(found.circles(), [["src/a.rs", "src/c.rs", "src/b.rs"]]);
        let (found, _) = uses(&files.map(|(path, text)| (path, text.trim_end_matches(" use crate::b::Y;"))));
        assert_eq!(found.circles(), Vec::<Vec<&str>>::new());
    }

    #[test]
    fn siblings_that_use_each_other_are_a_circle_however_they_write_it() {
        let (found, _) = uses(&[
            ("src/lib.rs", "mod a;"),
            ("src/a.rs", "mod b; mod c; use b::B; pub use c::C;"),
            // What a parent imports, its children may name as if it were its own.
            ("src/a/b.rs", "pub struct B; fn f() { super::C::new() }"),
            ("src/a/c.rs", "pub struct C(super::B);"),
        ]);
        assert_eq!(found.circles(), [["src/a/b.rs", "src/a/c.rs"]]);
    }

    #[test]
    #[should_panic(expected = "crate::b::*: name what is imported")]
    fn a_glob_import_is_refused() {
        let _ = Source::read("use crate::b::*;");
    }
}
