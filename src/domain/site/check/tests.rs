//! Rules that are checked against files.

use super::super::fixture::{lines, manifest, problems, ruled};
use super::*;

const FILES: [&str; 7] =
    ["index.html", "about.html", "blog/index.html", "404.html", "assets/a.js", "_redirects", "_headers"];

#[test]
fn rules_that_can_apply_are_taken() {
    for redirects in [
        "/* /index.html 200",
        "/about /x 301!\n/x /y\n/y https://example.org/",
        "/old/* /blog/:splat",
        "/a /about\n/b /about.html\n/c /blog\n/d /nowhere",
        "/a/* /b/:splat\n/b/* /c/:splat",
        "/x/* /:splat 200",
        "/gone /404 410\n/lost/* /404.html 404",
        "/about/* /about 302",
        "/:lang/about /about",
        "/assets/b.js /assets/a.js 200",
    ] {
        assert_eq!(problems(&FILES, redirects, ""), Vec::<String>::new(), "{redirects}");
    }
}

#[test]
fn rules_that_a_file_shadows_are_refused() {
    for (rule, answer) in
        [("/about", "301!"), ("/about.html", "301!"), ("/blog", "301!"), ("/blog/", "301!"), ("/", "301!")]
    {
        let found = problems(&FILES, &format!("/ok /fine\n{rule} /other"), "");
        assert_eq!(found.len(), 1, "{rule}: {found:?}");
        let wanted = format!("_redirects:2: it never applies, for a file answers {rule}; write {answer}");
        assert!(found[0].starts_with(&wanted), "{found:?}");
    }
    assert_eq!(problems(&FILES, "/_headers /x", ""), Vec::<String>::new(), "it is not served");
}

#[test]
fn rules_that_serve_absent_files_are_refused() {
    for (rule, target) in [
        ("/a /b 200", "/b"),
        ("/a /gone.html 410", "/gone.html"),
        ("/a/* /404/ 404", ""),
        ("/a /_headers 200", "/_headers"),
    ] {
        let found = problems(&FILES, rule, "");
        assert_eq!(found.is_empty(), target.is_empty(), "{rule}: {found:?}");
        if let Some(problem) = found.first() {
            assert!(problem.contains(&format!("{target}: there is no such file")), "{found:?}");
        }
    }
}

#[test]
fn redirects_without_end_are_refused() {
    for redirects in [
        "/a /b\n/b /a",
        "/a /b\n/b /c\n/c /b",
        "/a/* /a/x/:splat",
        "/* /x/:splat",
        "/a/* /b/:splat\n/b/* /a/:splat",
        "/about /about.html 301!",
        "/blog/ /blog 302!",
        "/x /x/\n/x/ /x",
        "/index.html / 301!\n/ /index.html 301!",
        "/a /a",
        "/a/:b /a/:b",
        "/a/* /a/:splat 302",
        "/a /a?b",
        "/a /a#b",
    ] {
        let found = problems(&FILES, redirects, "");
        let is_endless = |problem: &String| problem.contains("in a circle") || problem.contains("do not end");
        assert!(!found.is_empty() && found.iter().all(is_endless), "{redirects}: {found:?}");
    }
    let chain = |steps: usize| lines(steps, |n| format!("/{n} /{}\n", n + 1));
    assert_eq!(problems(&FILES, &chain(20), ""), Vec::<String>::new());
    assert_eq!(problems(&FILES, &chain(21), "").len(), 1);
    let backwards = lines(30, |n| format!("/{} /{}\n", 29 - n, 30 - n));
    assert_eq!(problems(&FILES, &backwards, "").len(), 10, "each that begins more than 20 steps before the end");
}

#[test]
fn a_file_has_one_value_of_a_field() {
    let conflict = "/*\nX-A: 1\n/about\nX-A: 2\n";
    let found = problems(&FILES, "", conflict);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("_headers:4: /about.html has another value of x-a"), "{found:?}");
    for fine in [
        "/*\nX-A: 1\n/about\nX-A: 1\n",
        "/*\nX-A: 1\n/nowhere\nX-A: 2\n",
        "/assets/*\nX-A: 1\n/blog/*\nX-A: 2\n",
        "/*\nX-A: 1\n/about\n! X-A\nX-A: 2\n",
        "/about\nX-A: 1\nX-A: 2\n",
    ] {
        assert_eq!(problems(&FILES, "", fine), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn problems_of_both_files_come_together_in_order() {
    let found = problems(&FILES, "/about /x\n/b\n/c /none 200", "x\n/*\nA: 1\n/about\nA: 2");
    let places: Vec<_> = found.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["_redirects:1", "_redirects:2", "_redirects:3", "_headers:1", "_headers:5"]);
}

#[test]
fn what_publishers_should_know_is_said() {
    let remarks = |redirects: &str| {
        let site = ruled(&FILES, redirects, "");
        site.remarks().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(remarks("/x /y\n/* /index.html 200").len(), 1);
    assert!(remarks("/* /index.html 200")[0].starts_with("_redirects:1: index.html answers navigations only"));
    for redirects in ["/* /index.html 200!", "/* /assets/a.js 200", "/a/* /:splat 200", "/* /404 404"] {
        assert_eq!(remarks(redirects), Vec::<String>::new(), "{redirects}");
    }
}

#[test]
fn the_largest_files_of_rules_are_checked_in_no_time() {
    let names: Vec<String> = (0..20_000).map(|n| format!("assets/file-{n}.js")).collect();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    let chain = lines(5000, |n| format!("/{n} /{}{}\n", n + 1, if n % 20 == 19 { "x" } else { "" }));
    let patterns = lines(200, |n| format!("/p{n}/* /q{n}/:splat\n"));
    let blocks = lines(200, |n| format!("/*{n}.js\nX-A: 1\n"));
    let manifest = manifest(&files);
    let rules = Rules::parse(Some((chain + &patterns).as_bytes()), Some(blocks.as_bytes()), &manifest);
    assert!(rules.is_ok());
}
