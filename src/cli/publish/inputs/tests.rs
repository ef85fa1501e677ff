use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn taken(arguments: &[PathBuf], options: &TreeOptions) -> (Vec<String>, usize) {
    let inputs = collect(arguments, options).unwrap();
    (inputs.files.into_iter().map(|input| input.name.to_string()).collect(), inputs.left.hidden.len())
}

fn names(arguments: &[PathBuf]) -> Vec<String> {
    taken(arguments, &TreeOptions::default()).0
}

fn error(arguments: &[PathBuf], options: &TreeOptions) -> String {
    collect(arguments, options).unwrap_err().to_string()
}

/// A directory with these files, each holding its own name.
fn tree(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    root
}

#[test]
fn a_name_stands_before_the_first_equals_sign() {
    let read = |text: &'static str| {
        split(OsStr::new(text), &TreeOptions::default())
            .map(|(name, path)| (name.map(|name| name.to_string()).ok(), path.to_str().unwrap()))
    };
    assert_eq!(read("b.zip=dist/a.zip"), Some((Some("b.zip".into()), "dist/a.zip")));
    assert_eq!(read("x/b=a=c"), Some((Some("x/b".into()), "a=c")));
    assert_eq!(read("~x=a"), Some((None, "a")));
    for path in ["a.zip", "./a=b", "/a=b", "../a=b", "=b", "a="] {
        assert_eq!(read(path), None, "{path}");
    }
}

#[test]
fn a_directory_is_taken_whole_and_sorted() {
    let root = tree(&["b/c/z", "b/a", "c", "a"]);
    let at = |path: &str| root.path().join(path);
    symlink(at("a"), at("b/link")).unwrap();
    symlink("../c", at("b/relative")).unwrap();
    assert_eq!(names(&[root.path().to_owned()]), ["a", "b/a", "b/c/z", "b/link", "b/relative", "c"]);
    let mut prefixed = std::ffi::OsString::from("site=");
    prefixed.push(at("b/c"));
    assert_eq!(names(&[at("c"), prefixed.into()]), ["c", "site/z"]);
}

#[test]
fn what_cannot_be_published_is_named() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    let error = |arguments: &[PathBuf]| error(arguments, &TreeOptions::default());
    assert!(error(&[root.path().to_owned()]).contains("holds no files"));
    assert!(error(&[at("absent")]).contains("absent"));
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/x"), "").unwrap();
    fs::write(at("x"), "").unwrap();
    assert!(error(&[at("x"), at("d")]).contains("both be named x"));
    symlink(at("d"), at("d/loop")).unwrap();
    assert!(error(&[at("d")]).contains("d/loop"));
    assert!(error(&["/dev/null".into()]).contains("/dev/null"));
}

#[test]
fn hidden_files_are_left_out_unless_they_are_named_or_wanted() {
    let root = tree(&["a", ".env", ".git/config", "b/.DS_Store", "b/c", ".well-known/security.txt", ".well-known/.x"]);
    let whole = [root.path().to_owned()];
    let (files, left_out) = taken(&whole, &TreeOptions::default());
    assert_eq!((files, left_out), (vec![".well-known/security.txt".into(), "a".into(), "b/c".into()], 4));
    let (files, left_out) = taken(&whole, &TreeOptions { hidden: true, ..TreeOptions::default() });
    assert_eq!((files.len(), left_out), (7, 0));
    assert_eq!(names(&[root.path().join(".env"), root.path().join(".git")]), [".env", "config"]);
    fs::remove_dir_all(root.path().join("b")).unwrap();
    fs::remove_file(root.path().join("a")).unwrap();
    fs::remove_dir_all(root.path().join(".well-known")).unwrap();
    assert!(error(&whole, &TreeOptions::default()).contains("--hidden"));
    symlink(".env", root.path().join("plain")).unwrap();
    assert!(error(&whole, &TreeOptions::default()).contains("plain is a link to"));
}

#[test]
fn links_lead_out_only_on_request() {
    let (root, outside) = (tree(&["a"]), tree(&["secret", "d/x"]));
    let at = |path: &str| root.path().join(path);
    symlink(outside.path().join("secret"), at("file")).unwrap();
    symlink(outside.path().join("d"), at("directory")).unwrap();
    let whole = [root.path().to_owned()];
    let refused = error(&whole, &TreeOptions::default());
    let outside = fs::canonicalize(outside.path()).unwrap();
    for part in [at("file"), at("directory"), outside.join("secret"), outside.join("d")] {
        assert!(refused.contains(part.to_str().unwrap()), "{refused}");
    }
    let follow = TreeOptions { follow_links: true, ..TreeOptions::default() };
    assert_eq!(taken(&whole, &follow).0, ["a", "directory/x", "file"]);
    assert_eq!(names(&[at("file"), at("directory")]), ["file", "x"], "what is named on the command line is taken");
    symlink(root.path(), at("circle")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("round", at("round")).unwrap();
    let refused = error(&whole, &follow);
    for link in ["circle", "dangling", "nowhere", "round"] {
        assert!(refused.contains(link), "{refused}");
    }
}

#[test]
fn special_files_are_not_opened() {
    let root = tree(&["a"]);
    rustix::fs::mknodat(rustix::fs::CWD, root.path().join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    symlink("/dev/null", root.path().join("device")).unwrap();
    for options in [TreeOptions::default(), TreeOptions { follow_links: true, hidden: true, ..TreeOptions::default() }]
    {
        let refused = error(&[root.path().to_owned()], &options);
        for name in ["fifo", "socket", "device"] {
            assert!(refused.contains(name), "{refused}");
        }
    }
}

#[test]
fn patterns_decide_what_of_a_tree_is_taken() {
    let root = tree(&["a.js", "a.js.map", "docs/x", "docs/keep", ".github/ci", "sub/docs/y", ".larderignore"]);
    fs::write(root.path().join(".larderignore"), "*.map\n/docs/\n").unwrap();
    let whole = [root.path().to_owned()];
    let globs = |exclude: &[&str], include: &[&str]| {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
        TreeOptions { exclude: owned(exclude), include: owned(include), ..TreeOptions::default() }
    };
    assert_eq!(taken(&whole, &TreeOptions::default()), (vec!["a.js".into(), "sub/docs/y".into()], 1));
    assert_eq!(taken(&whole, &globs(&["sub/"], &[])).0, ["a.js"]);
    let wanted = taken(&whole, &globs(&["*.js"], &["keep", ".github/"]));
    assert_eq!(wanted, (vec![".github/ci".into(), "docs/keep".into(), "sub/docs/y".into()], 0));
    assert!(error(&whole, &globs(&["*"], &[])).contains("excluded"));
    let left = collect(&whole, &TreeOptions::default()).unwrap().left;
    assert_eq!(left.excluded, [root.path().join("a.js.map"), root.path().join("docs")]);
    let named = ["a.js", "a.js.map", ".larderignore"].map(|name| root.path().join(name));
    assert_eq!(names(&named).len(), 3, "what is named on the command line is taken");
    assert_eq!(taken(&named, &globs(&["*.map"], &[])).0, ["a.js", ".larderignore"], "unless that excludes it, too");
    assert!(error(&named[1..2], &globs(&["*.map"], &[])).contains("excluded"));
}

#[test]
fn links_and_empty_directories_are_reported() {
    let root = tree(&["a", "b/c"]);
    let at = |path: &str| root.path().join(path);
    symlink("a", at("link")).unwrap();
    fs::create_dir_all(at("d/e")).unwrap();
    let left = collect(&[root.path().to_owned()], &TreeOptions::default()).unwrap().left;
    assert_eq!((left.links, left.empty), (vec![at("link")], vec![at("d/e")]));
}

#[test]
fn bad_files_of_every_sort_are_named_at_once() {
    let root = tree(&["a", "x", "sub/x"]);
    let at = |path: &str| root.path().join(path);
    fs::write(at("bad\nname"), "").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    let refused = error(&[root.path().to_owned(), at("sub"), "-".into()], &TreeOptions::default());
    for part in ["name", "fifo", "dangling", "both be named x", "FILENAME=-"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}
