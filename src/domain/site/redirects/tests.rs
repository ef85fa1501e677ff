//! Lines of `_redirects`: what other hosts take, taken or refused with a reason.

use super::super::rule_problem::RuleFile;
use super::*;

fn read(text: &str) -> (Redirects, Vec<String>) {
    let mut problems = Problems::new(RuleFile::Redirects);
    let redirects = Redirects::read(text, &mut problems);
    (redirects, problems.into_list().iter().map(ToString::to_string).collect())
}

/// The rules as `LINE ACTION[!] LOCATION`, each for its own example.
fn listed(text: &str) -> Vec<String> {
    let (redirects, problems) = read(text);
    assert_eq!(problems, Vec::<String>::new(), "{text}");
    let show = |rule: &Rule| {
        let path = SitePath::parse(&rule.from.example("x")).unwrap();
        let location = rule.target.location(&rule.from.captures(&path).unwrap(), None);
        let (Action::Serve(status) | Action::Redirect(status)) = rule.action;
        format!("{} {status}{} {location}", rule.line, if rule.forced { "!" } else { "" })
    };
    redirects.iter().map(show).collect()
}

#[test]
fn a_rule_is_a_line() {
    for (text, wanted) in [
        ("", vec![]),
        ("\n\n  \t\n", vec![]),
        ("# nothing\n   # at all", vec![]),
        ("/home /", vec!["1 301 /"]),
        ("\n  /home    /  \n", vec!["2 301 /"]),
        ("/home\t/\t302", vec!["1 302 /"]),
        ("/one /two\r\n/three /four 303\r\n", vec!["1 301 /two", "2 303 /four"]),
        ("/one.php /one # was moved\n/two.php /two 308 #later", vec!["1 301 /one", "2 308 /two"]),
        ("/one.php /one#part", vec!["1 301 /one#part"]),
        (
            "/ten https://www.example.org/ 301\n/b https://b.example/x?y=z#a",
            vec!["1 301 https://www.example.org/", "2 301 https://b.example/x?y=z#a"],
        ),
        ("/* https://www.example.org/:splat 301!", vec!["1 301! https://www.example.org/x1"]),
        ("/admin/* /panel/:splat 200", vec!["1 200 /panel/x1"]),
        (
            "/gone /410.html 410\n/law /451.html 451!\n/no /404.html 404",
            vec!["1 410 /410.html", "2 451! /451.html", "3 404 /404.html"],
        ),
        ("/t 307 307", vec![]),
        ("/:y/:m/:d/:t /articles/:y/:m/:d/:t 308", vec!["1 308 /articles/x1/x2/x3/x4"]),
        ("/some%20page /some%20where", vec!["1 301 /some%20where"]),
        ("/;`me /ns:/&@+~{}", vec!["1 301 /ns:/&@+~%7B%7D"]),
    ] {
        if text == "/t 307 307" {
            assert!(read(text).1[0].contains("has no target"));
            continue;
        }
        assert_eq!(listed(text), wanted, "{text}");
    }
}

#[test]
fn a_line_that_means_something_else_elsewhere_is_refused_with_a_reason() {
    for (line, part) in [
        ("/c", "has the form"),
        ("/d /e 302 !important", "this line has 4 words"),
        ("/some page /other", "has the form"),
        ("/a /b 418", "418 is none of"),
        ("/a /b 100", "100 is none of"),
        ("/a /b 3010", "has the form"),
        ("/a /b -1", "has the form"),
        ("/a 301", "no target"),
        ("/a 200!", "no target"),
        ("https://one.example/* https://two.example/:splat", "whatever the host"),
        ("a.example/x /y", "begins with '/'"),
        ("no-slash /y", "begins with '/'"),
        ("/a?x=1 /b", "whatever the query"),
        ("/blog post=:id /blog/:id", "leave post= out"),
        ("/ /china 302 Country=ch,tw", "leave country= out"),
        ("/ /de 302 Language=de", "leave language= out"),
        ("/admin/* /admin/:splat 200 Role=admin", "leave role= out"),
        ("/x /y 200 Cookie=a", "leave cookie= out"),
        ("/api/* https://api.example/:splat 200! Sign=SECRET", "leave sign= out"),
        ("/api/* https://api.example/:splat 200", "nothing is fetched from elsewhere"),
        ("/a /b?x 200", "a path without query"),
        ("/a /b#x 404", "a path without query"),
        ("/a http://example.org/", "begins with '/' or https://"),
        ("X-Frame-Options: DENY", "begins with '/'"),
    ] {
        let (redirects, problems) = read(&format!("/ok /fine\n{line}\n"));
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
        assert!(problems[0].starts_with("_redirects:2: ") && problems[0].contains(part), "{line}: {problems:?}");
        assert_eq!(redirects.iter().count(), 1, "{line}");
    }
}

#[test]
fn rules_below_one_that_answers_their_paths_are_refused() {
    for (text, problem) in [
        ("/a /b\n/a /c", Some("line 1 answers")),
        ("/a /b\n/a/ /c", None),
        ("/* /x\n/a /b", Some("line 1 answers")),
        ("/a /b\n/* /x", None),
        ("/x/* /y\n/x/:id/z /w", Some("line 1 answers")),
        ("/x/:id /y\n/x/a /z", Some("line 1 answers")),
        ("/x/a /z\n/x/:id /y\n/x/:other /w", Some("line 2 answers")),
        ("/a /b 301!\n/a /c", Some("line 1 answers")),
        ("/a /b\n/a /c 301!", None),
        ("/* /x 302!\n/a /b", Some("line 1 answers")),
        ("/* /x\n/a /b 302!", None),
        ("/a/* /b/:splat 200\n/a/* /c/:splat 200\n/a/x /y", None),
        ("/a/* /b 200\n/a/x /y", Some("line 1 answers")),
    ] {
        let (_, problems) = read(text);
        let found = problems.first().map(String::as_str);
        assert_eq!(problem.is_some(), found.is_some(), "{text}: {found:?}");
        assert!(found.unwrap_or_default().contains(problem.unwrap_or_default()), "{text}: {found:?}");
    }
}

#[test]
fn the_first_rule_of_the_file_comes_first() {
    let (redirects, _) = read("/b/* /one\n/a /two\n/:x /three\n/* /four\n/c /five 302!\n/:y /six 302!");
    let lines = |path: &str, forced| {
        let path = SitePath::parse(path).unwrap();
        redirects.matching(&path, forced).map(|(rule, _)| rule.line).collect::<Vec<_>>()
    };
    assert_eq!(lines("/a", false), [2, 3, 4]);
    assert_eq!(lines("/b/x", false), [1, 4]);
    assert_eq!(lines("/c", false), [3, 4]);
    assert_eq!((lines("/c", true), lines("/a", true), lines("/", true)), (vec![5, 6], vec![6], vec![]));
}

#[test]
fn a_file_has_limits() {
    let rules = |count: usize, from: &str| (0..count).map(|n| format!("/{n}{from} /x\n")).collect::<String>();
    let all = rules(MAX_LITERAL, "") + &rules(MAX_PATTERNS, "/*");
    assert_eq!(listed(&all).len(), MAX_LITERAL + MAX_PATTERNS);
    for more in ["/one-more /x", "/one-more/* /x", "/one-more /x 301!"] {
        let (redirects, problems) = read(&format!("{all}{more}"));
        assert_eq!((redirects.iter().count(), problems.len()), (0, 1));
        assert!(problems[0].contains("the limits are 5000 and 200"), "{problems:?}");
    }
    let long = format!("/{} /x\n#{}\n/b /y", "a".repeat(2000), "c".repeat(2000));
    let (redirects, problems) = read(&long);
    assert_eq!((redirects.iter().count(), problems.len()), (1, 2));
    assert!(problems[0].starts_with("_redirects:1: the line has 2004 bytes"), "{problems:?}");
}
