use super::*;

const API: &str = "[server]\napi_hosts = [\"releases.example.org\"]\n";

fn site(id: &str, rest: &str) -> String {
    format!("[[sites]]\nid = {id:?}\n{rest}\n")
}

/// What is wrong with these settings.
fn problems(text: &str) -> Vec<String> {
    toml::from_str::<Config>(text).unwrap().validate().err().unwrap_or_default()
}

#[test]
fn a_host_is_one_thing_only() {
    let docs = site("docs", "hosts = [\"docs.example.org\", \"b\u{fc}cher.example\"]\nname = \"acme/docs\"");
    assert_eq!(problems(&format!("{API}{docs}")), Vec::<String>::new());
    for (more, parts) in [
        (
            site("other", "hosts = [\"DOCS.example.org.\"]\nname = \"x\""),
            ["docs.example.org", "site docs", "site other"],
        ),
        (
            site("other", "hosts = [\"xn--bcher-kva.example\"]\nname = \"x\""),
            ["xn--bcher-kva", "site docs", "site other"],
        ),
        (
            site("other", "hosts = [\"x.org\"]\nredirect_hosts = [\"docs.example.org\"]\nname = \"x\""),
            ["docs.example.org", "hosts of site docs", "redirect_hosts of site other"],
        ),
        (
            site("other", "hosts = [\"releases.example.org:8080\"]\nname = \"x\""),
            ["releases.example.org", "server.api_hosts", "site other"],
        ),
        (
            site("other", "name = \"x\"\n[sites.previews]\ndomain = \"example.org\""),
            ["docs.example.org", "below example.org", "previews only"],
        ),
    ] {
        let found = problems(&format!("{API}{docs}{more}"));
        let is_named = |problem: &String| parts.iter().all(|part| problem.contains(part));
        assert!(found.iter().any(is_named), "{more}: {found:#?}");
    }
}

#[test]
fn a_site_says_what_it_serves_and_where() {
    for (text, part) in [
        (site("a", "hosts = [\"a.org\"]"), "needs name"),
        (site("a", "hosts = [\"a.org\"]\nname = \"x\"\nnames = [\"y\"]"), "both name and names"),
        (site("a", "hosts = [\"a.org\"]\nnames = [\"y\"]"), "has hosts"),
        (site("a", "redirect_hosts = [\"a.org\"]\nname = \"x\""), "no hosts that"),
        (site("a", "name = \"x\""), "neither hosts nor previews"),
        (site("a", "hosts = [\"a.org\"]\nname = \"x\"").repeat(2), "used twice"),
        (
            format!(
                "{}[[names]]\nmatch = [\"x\"]\nread = \"token\"\n",
                site("a", "hosts = [\"a.org\"]\nname = \"x@3\"")
            ),
            "would show everybody x",
        ),
        (
            format!("{}[[names]]\nmatch = [\"x\"]\nfollow = [\"y\"]\n", site("a", "hosts = [\"a.org\"]\nname = \"x\"")),
            "follows other names",
        ),
        (
            site("a", "names = [\"x/*\"]\n[sites.previews]\ndomain = \"p.org\"")
                + &site("b", "name = \"x\"\n[sites.previews]\ndomain = \"p.org\""),
            "needs a domain of its own",
        ),
    ] {
        let found = problems(&format!("{API}{text}"));
        assert!(found.iter().any(|problem| problem.contains(part)), "{part}: {found:#?}");
    }
    let sites = site("a", "hosts = [\"a.org\"]\nname = \"x\"");
    assert!(problems(&sites).iter().any(|problem| problem.contains("server.api_hosts must list")));
    let url = "[server]\napi_hosts = [\"b.org\"]\npublic_url = \"https://a.org/larder\"\n";
    assert!(problems(url).iter().any(|problem| problem.contains("server.public_url, a.org")));
    for bad in [site("A", ""), site("a--b", ""), site("a", "hosts = [\"a b\"]"), site("a", "name = \"x@@\"")] {
        assert!(toml::from_str::<Config>(&bad).is_err(), "{bad}");
    }
}

#[test]
fn hosts_become_what_the_configuration_says() {
    let text =
        site("docs", "hosts = [\"docs.org\", \"d.org\"]\nredirect_hosts = [\"www.docs.org\"]\nname = \"a/docs@3\"")
            + "[sites.previews]\ndomain = \"p.org\"\nread = \"public\"\n"
            + &site("pulls", "names = [\"pr/**\"]\n[sites.previews]\ndomain = \"pr.org\"\non_demand = true");
    let table = toml::from_str::<Config>(&format!("{API}{text}")).unwrap().hosts();
    assert_eq!(table.find(Some("releases.example.org")), HostRole::Api);
    assert!(matches!(table.find(Some("d.org")), HostRole::Site(site) if site.id.as_str() == "docs"));
    assert!(matches!(table.find(Some("www.docs.org")), HostRole::Redirect(to) if to.as_str() == "docs.org"));
    for nobodys in [None, Some("p.org"), Some("org"), Some("a.d.org"), Some("")] {
        assert_eq!(table.find(nobodys), HostRole::Unlisted, "{nobodys:?}");
    }
    let preview = |host: &str| match table.find(Some(host)) {
        HostRole::Preview(domain, label) => domain.locate(&label).map(|preview| preview.target.to_string()),
        role => panic!("{host} is {role:?}"),
    };
    assert_eq!(preview("v17-docs.p.org").as_deref(), Some("a/docs@17"));
    assert_eq!(preview("live-docs.p.org").as_deref(), Some("a/docs@active"));
    assert_eq!(preview("prev-przs7.pr.org").as_deref(), Some("pr/7@previous"));
    for none in ["v17-pulls.pr.org", "v17-azsdocs.p.org", "v17-other.p.org", "x.p.org", "v017-docs.p.org"] {
        assert_eq!(preview(none), None, "{none}");
    }
    assert_eq!(table.hosts_of(&"a/docs".parse().unwrap()), ["d.org", "docs.org"]);
    let open = Config::default().hosts();
    assert_eq!((open.find(None), open.find(Some("any.org"))), (HostRole::Api, HostRole::Api));
}
