//! Finding files, variants, pages for nothing, and what is immutable.

use super::super::fixture::{add_variant, manifest};
use super::*;

fn files(names: &[&str]) -> Files {
    Files::new(&manifest(names))
}

fn found(files: &Files, name: &str) -> Option<String> {
    files.find(name).map(|id| files.file(id).name.to_string())
}

#[test]
fn files_are_found_by_their_composed_names() {
    let files =
        files(&["a", "b/c", "cafe\u{301}", "nai\u{308}ve=1", "na\u{ef}ve=2", "_headers", "_redirects", "x/_headers"]);
    for (name, wanted) in [
        ("a", Some("a")),
        ("b/c", Some("b/c")),
        ("caf\u{e9}", Some("cafe\u{301}")),
        ("na\u{ef}ve", Some("na\u{ef}ve")),
        ("x/_headers", Some("x/_headers")),
        ("_headers", None),
        ("_redirects", None),
        ("A", None),
        ("b", None),
        ("", None),
    ] {
        assert_eq!(found(&files, name).as_deref(), wanted, "{name}");
    }
    assert_eq!(files.ids().count(), 5);
    assert_eq!(found(&self::files(&[]), "a"), None);
}

#[test]
fn variants_are_no_files_unless_there_is_nothing_that_they_are_of() {
    let mut manifest = manifest(&["app.js", "x.js"]);
    add_variant(&mut manifest, "app.js", Coding::Gzip, 3);
    add_variant(&mut manifest, "app.js", Coding::Br, 2);
    add_variant(&mut manifest, "none.js", Coding::Br, 2);
    add_variant(&mut manifest, "x.js", Coding::Zstd, 2);
    manifest.files[5].encoding = None;
    let files = Files::new(&manifest);
    let variants = |name: &str| files.variants(files.find(name).unwrap()).map(|(_, coding)| coding).collect::<Vec<_>>();
    assert_eq!(variants("app.js").len(), 2);
    assert_eq!(variants("x.js"), [], "of a coding that is not known");
    for hidden in ["app.js.gz", "app.js.br", "x.js.zst"] {
        assert_eq!(found(&files, hidden), None, "{hidden}");
    }
    assert_eq!(found(&files, "none.js.br").as_deref(), Some("none.js.br"));
}

#[test]
fn the_nearest_page_for_nothing_is_found() {
    let site = files(&["404.html", "docs/404.html", "docs/v1/x/404.html", "not-404.html", "blog/post.html"]);
    for (path, wanted) in [
        ("nope", "404.html"),
        ("", "404.html"),
        ("docs/nope", "docs/404.html"),
        ("docs/", "docs/404.html"),
        ("docs", "404.html"),
        ("docs/v1/nope", "docs/404.html"),
        ("docs/v1/x/y/z/nope", "docs/v1/x/404.html"),
        ("docs/v1/xx/y", "docs/404.html"),
        ("blog/x/y", "404.html"),
        ("caf\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}/x", "404.html"),
    ] {
        let page = site.not_found(path).map(|id| site.file(id).name.to_string());
        assert_eq!(page.as_deref(), Some(wanted), "{path}");
    }
    assert_eq!(files(&["docs/404.html"]).not_found("blog/x"), None);
    assert_eq!(files(&["a"]).not_found("a/b"), None);
}

#[test]
fn only_files_that_cannot_change_are_immutable() {
    let mut manifest = manifest(&[
        "assets/a-CjL4fkWS.js",
        "assets/b-BTV8LsEM.css",
        "favicon.ico",
        "styles.css",
        "assets/plain.js",
        "assets/page-CjL4fkWS.html",
        "lib/x.js",
    ]);
    let immutable = |manifest: &Manifest| {
        let files = Files::new(manifest);
        let mut names: Vec<_> = files.ids().filter(|id| files.is_immutable(*id)).map(|id| files.file(id)).collect();
        names.sort_by_key(|file| &file.name);
        names.iter().map(|file| file.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(immutable(&manifest), ["assets/a-CjL4fkWS.js", "assets/b-BTV8LsEM.css"]);
    manifest.site.immutable = vec!["lib/*".parse().unwrap()];
    manifest.site.revalidate = vec!["assets/a-CjL4fkWS.js".parse().unwrap()];
    assert_eq!(immutable(&manifest), ["assets/b-BTV8LsEM.css", "lib/x.js"]);
}

#[test]
fn immutable_files_that_changed_are_listed() {
    let old = manifest(&["a-CjL4fkWS.js=1", "b-BTV8LsEM.js=1", "plain.js=1", "gone-CjL4fkWX.js=1"]);
    let mut new = manifest(&["a-CjL4fkWS.js=2", "b-BTV8LsEM.js=1", "plain.js=2", "new-CjL4fkWY.js=1"]);
    let changed = |new: &Manifest| {
        let files = Files::new(new);
        files.changed_immutable(&old).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(changed(&new), ["a-CjL4fkWS.js"]);
    new.site.revalidate = vec!["a-CjL4fkWS.js".parse().unwrap()];
    assert_eq!(changed(&new), Vec::<String>::new());
    // What was immutable is kept by clients, whatever the new settings say.
    let mut old = old.clone();
    old.site.immutable = vec!["plain.*".parse().unwrap()];
    let files = Files::new(&new);
    assert_eq!(files.changed_immutable(&old).iter().map(ToString::to_string).collect::<Vec<_>>(), ["plain.js"]);
}
