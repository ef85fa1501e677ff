//! What routes and scopes match.

use super::*;

fn captures(route: &str, path: &str) -> Option<Vec<String>> {
    let path = SitePath::parse(path).unwrap();
    let captures = Route::parse(route).unwrap().captures(&path)?;
    Some(captures.into_iter().map(str::to_owned).collect())
}

#[test]
fn routes_match_segment_by_segment() {
    for (route, path, wanted) in [
        ("/", "/", Some(vec![])),
        ("/a", "/a", Some(vec![])),
        ("/a", "/a/", None),
        ("/a/", "/a", None),
        ("/a/", "/a/", Some(vec![])),
        ("/a", "/A", None),
        ("/a", "/a/b", None),
        ("/*", "/", Some(vec![""])),
        ("/*", "/a/b/", Some(vec!["a/b/"])),
        ("/blog/*", "/blog", None),
        ("/blog/*", "/blog/", Some(vec![""])),
        ("/blog/*", "/blog/%C3%A9/x", Some(vec!["%C3%A9/x"])),
        ("/blog/*", "/blogs/x", None),
        ("/:a/:b", "/x/y%20z", Some(vec!["x", "y%20z"])),
        ("/:a/:b", "/x/", None),
        ("/:a/:b", "/x", None),
        ("/:a/", "/x/", Some(vec!["x"])),
        ("/posts/:year/*", "/posts/2022/a/b", Some(vec!["2022", "a/b"])),
        // An empty segment is taken out before a path is matched.
        ("/posts/:year/*", "/posts//a", None),
        ("/posts/:year/*", "/posts/2022", None),
        ("/caf%C3%A9", "/caf\u{e9}", Some(vec![])),
        ("/caf\u{e9}", "/caf%c3%a9", Some(vec![])),
        ("/a:b", "/a:b", Some(vec![])),
        ("/:1", "/:1", Some(vec![])),
    ] {
        let wanted = wanted.map(|texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(captures(route, path), wanted, "{route} {path}");
    }
}

#[test]
fn what_no_request_can_match_is_no_route() {
    for (route, part) in [
        ("a", "begins with '/'"),
        ("/a*", "whole last segment"),
        ("/*/a", "whole last segment"),
        ("/**", "whole last segment"),
        ("*", "whole last segment"),
        ("/a//b", "write /a/b"),
        ("/a/../b", "'.' or '..'"),
        ("/a%2Fb", "holds no slash"),
        ("/%zz", "hexadecimal"),
        ("/cafe\u{301}", "write /caf%C3%A9"),
        ("/:a/:a", "occurs twice"),
        ("/:splat", "choose another"),
        ("/:a-b", "whole segment"),
        ("/:a.html", "whole segment"),
    ] {
        let error = Route::parse(route).unwrap_err();
        assert!(error.contains(part), "{route}: {error}");
    }
}

#[test]
fn covering_is_exact() {
    let routes = [
        "/", "/*", "/a", "/a/", "/a/*", "/a/b", "/a/b/*", "/:x", "/:x/", "/:x/*", "/:x/b", "/a/:x", "/:x/:y",
        "/:x/:y/*",
    ];
    let paths: Vec<_> = [
        "/", "/a", "/b", "/a/", "/b/", "/a/b", "/a/c", "/c/b", "/c/d", "/a/b/", "/a/c/", "/c/b/", "/a/b/c", "/c/d/e",
        "/a/b/c/",
    ]
    .map(|path| SitePath::parse(path).unwrap())
    .into();
    for one in routes {
        for other in routes {
            let (left, right) = (Route::parse(one).unwrap(), Route::parse(other).unwrap());
            let is_subset = paths.iter().all(|path| right.captures(path).is_none() || left.captures(path).is_some());
            assert_eq!(left.covers(&right), is_subset, "{one} {other}");
        }
    }
}

#[test]
fn an_example_of_a_route_matches_it() {
    for route in ["/", "/*", "/a/:b/c/*", "/:a/", "/caf\u{e9}/:x"] {
        let route = Route::parse(route).unwrap();
        let example = SitePath::parse(&route.example("x")).unwrap();
        assert!(route.captures(&example).is_some(), "{example:?}");
        assert_eq!(route.literal().is_some(), route.example("x") == route.example("y"));
    }
    assert_eq!(Route::parse("/a/").unwrap().literal().as_deref(), Some("/a/"));
    assert_eq!(Route::parse("/").unwrap().literal().as_deref(), Some("/"));
}

#[test]
fn scopes_match_paths_of_files() {
    for (scope, path, wanted) in [
        ("/*", "/", true),
        ("/*", "/a/b", true),
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a", "/A", false),
        ("/assets/*", "/assets/a/b.js", true),
        ("/assets/*", "/assets/", true),
        ("/assets/*", "/assets", false),
        ("/*.js", "/a/b.js", true),
        ("/*.js", "/.js", true),
        ("/*.js", "/a.js.map", false),
        ("/a*a", "/a", false),
        ("/a*a", "/aa", true),
        ("/:lang/index.html", "/en/index.html", true),
        ("/:lang/index.html", "/index.html", false),
        ("/:lang/index.html", "/a/b/index.html", false),
        ("/:lang/*/x/:name", "/en/a/b/x/y", true),
        ("/:lang/*/x/:name", "/en//x/y", true),
        ("/:lang/*/x/:name", "/en/x/y", false),
        ("/:lang/*/x/:name", "/en/a/x/", false),
        ("/:lang/*/x/:name", "/en/a/x/y/z", false),
        ("/a:b", "/a:b", true),
        ("/caf%C3%A9/*", "/caf\u{e9}/x", true),
        ("/:", "/:", true),
    ] {
        assert_eq!(Scope::parse(scope).unwrap().matches(path), wanted, "{scope} {path}");
    }
    for (scope, part) in [
        ("//example.net/x", "one '/'"),
        ("https://example.net/x", "has no host"),
        ("/*/*", "one '*' at most"),
        ("/a//b", "write /a/b"),
        ("/a/../b", "'.' or '..'"),
    ] {
        let error = Scope::parse(scope).unwrap_err();
        assert!(error.contains(part), "{scope}: {error}");
    }
}
