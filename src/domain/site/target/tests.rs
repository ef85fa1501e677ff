//! Where rules lead to.

use super::*;

/// The location for a request of a path, by a rule `from to`.
fn location(from: &str, to: &str, path: &str, query: Option<&str>) -> String {
    let route = Route::parse(from).unwrap();
    let path = SitePath::parse(path).unwrap();
    Target::parse(to, &route).unwrap().location(&route.captures(&path).unwrap(), query)
}

#[test]
fn what_is_captured_is_filled_in_as_it_was_sent() {
    for (from, to, path, wanted) in [
        ("/a", "/b", "/a", "/b"),
        (
            "/posts/:y/:m/:t",
            "/articles/:y-:m/:t.html",
            "/posts/2022/01/hello%20world",
            "/articles/2022-01/hello%20world.html",
        ),
        ("/old/*", "/new/:splat", "/old/a/b+c/%C3%A9", "/new/a/b+c/%C3%A9"),
        ("/old/*", "/new/:splat", "/old/", "/new/"),
        ("/old/*", "/new/:splat/x", "/old/", "/new/x"),
        ("/old/*", "/new/:splat/x", "/old/a/", "/new/a/x"),
        ("/old/*", "/:splat", "/old/example.net/", "/example.net/"),
        ("/old/*", "/:splat/y", "/old/", "/y"),
        ("/old/*", "https://example.org/x/:splat", "/old/a", "https://example.org/x/a"),
        ("/old/*", "https://EXAMPLE.org.:8443", "/old/a", "https://example.org:8443/"),
        ("/old/*", "https://b\u{fc}cher.example/:splat#top", "/old/a", "https://xn--bcher-kva.example/a#top"),
        ("/old", "https://web.example/https://x.example/", "/old", "https://web.example/https://x.example/"),
        ("/u/:id", "/user?id=:id&x=1", "/u/a&b=c%26", "/user?id=a%26b%3Dc%26&x=1"),
        ("/u/:id", "/user#:id", "/u/a'b", "/user#a%27b"),
        ("/a", "/b##c-1", "/a", "/b##c-1"),
        ("/a", "/t/12:30", "/a", "/t/12:30"),
        ("/a", "/t/x:y", "/a", "/t/x:y"),
        ("/a", "/caf\u{e9}/{x}?\u{e9}", "/a", "/caf%C3%A9/%7Bx%7D?%C3%A9"),
        ("/a", "/100%25", "/a", "/100%25"),
    ] {
        assert_eq!(location(from, to, path, None), wanted, "{from} {to} {path}");
    }
}

#[test]
fn the_query_is_passed_on_unless_the_target_has_one() {
    assert_eq!(location("/a", "/b", "/a", Some("x=1%20&x=2")), "/b?x=1%20&x=2");
    assert_eq!(location("/a", "/b?y", "/a", Some("x=1")), "/b?y");
    assert_eq!(location("/a", "/b?", "/a", Some("x=1")), "/b?");
    assert_eq!(location("/a", "/b#c", "/a", Some("x=1")), "/b?x=1#c");
    assert_eq!(location("/a", "https://example.org", "/a", Some("x")), "https://example.org/?x");
}

#[test]
fn what_could_lead_elsewhere_is_refused() {
    let route = Route::parse("/x/:name/*").unwrap();
    for (to, part) in [
        ("b", "begins with '/' or https://"),
        ("http://example.org/", "begins with '/' or https://"),
        ("HTTPS://example.org/", "begins with '/' or https://"),
        ("javascript:alert(1)", "begins with '/' or https://"),
        ("mailto:a@example.org", "begins with '/' or https://"),
        (":splat", "begins with '/' or https://"),
        ("//example.org", "another host"),
        ("/\\example.org", "backslash"),
        ("/%5Cexample.org", "no slash, backslash"),
        ("/%2Fexample.org", "no slash, backslash"),
        ("/a//b", "without empty segments"),
        ("/a/../b", "'.' or '..'"),
        ("https://:name/", "is no port"),
        ("https://:name.example.org/", "is no port"),
        ("https://example.org:splat/", "is no port"),
        ("https://example.org:+1/", "is no port"),
        ("https://user@example.org/", "names no user"),
        ("https:///a", "a host is a name"),
        ("https://a b/", "a host is a name"),
        ("/:other", "no such name"),
        ("/a?x=:other", "no such name"),
        ("/a/%zz", "hexadecimal"),
        ("/a\u{7f}", "control"),
        ("/cafe\u{301}", "composed"),
    ] {
        let error = Target::parse(to, &route).unwrap_err();
        assert!(error.contains(part), "{to}: {error}");
    }
    let error = Target::parse("/:splat", &Route::parse("/a").unwrap()).unwrap_err();
    assert!(error.contains("has no '*'"), "{error}");
}
