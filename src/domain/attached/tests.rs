use super::*;
use crate::domain::Target;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn host(text: &str) -> HostName {
    text.parse().unwrap()
}

fn time(days: i32) -> Timestamp {
    "2026-05-01T00:00:00Z".parse::<Timestamp>().unwrap() + DAY * days
}

fn wanted(at: &str, name: &str, by: &str) -> WantedHost {
    let target: Target = name.parse().unwrap();
    let challenge = challenge("salt", &host(at), &target.name);
    WantedHost { target, redirect_to: None, by: Subject::token(by).unwrap(), reason: None, challenge }
}

fn text(at: &str, name: &str) -> Vec<String> {
    vec!["v=spf1 -all".to_owned(), challenge("salt", &host(at), &name.parse().unwrap())]
}

/// A caller who may attach hosts to these names.
fn may(names: &'static [&'static str]) -> impl Fn(&ManifestName) -> bool {
    move |name| names.contains(&name.as_str())
}

fn serving(hosts: &AttachedHosts, now: Timestamp) -> Vec<String> {
    hosts.serving(now).map(|(host, claim)| format!("{host} {}", claim.target)).collect()
}

fn actions(hosts: &AttachedHosts, at: &str) -> Vec<String> {
    hosts.get(&host(at)).unwrap().history.iter().map(|change| format!("{} {}", change.action, change.name)).collect()
}

/// One attached host, `a.org`, of the name `a`.
fn attached() -> AttachedHosts {
    let mut hosts = AttachedHosts::default();
    assert_eq!(hosts.claim(&host("a.org"), wanted("a.org", "a", "one"), time(0), &may(&["a"])), Ok(true));
    assert!(hosts.settle(&host("a.org"), &text("a.org", "a"), time(0)));
    hosts
}

#[test]
fn a_claim_serves_once_it_is_proven_and_by_nothing_else() {
    let mut hosts = AttachedHosts::default();
    let (at, claim) = (host("a.org"), wanted("a.org", "a", "one"));
    assert_eq!(hosts.claim(&at, claim.clone(), time(0), &may(&["a"])), Ok(true));
    assert_eq!(hosts.claim(&at, claim, time(1), &may(&["a"])), Ok(false), "the same again");
    for wrong in [vec![], text("a.org", "b"), text("b.org", "a"), vec![challenge("other", &at, &"a".parse().unwrap())]]
    {
        assert!(!hosts.settle(&at, &wrong, time(1)), "{wrong:?}");
    }
    assert!(serving(&hosts, time(1)).is_empty());
    assert!(hosts.settle(&at, &text("a.org", "a"), time(1)));
    assert_eq!(serving(&hosts, time(1)), ["a.org a"]);
    assert_eq!(actions(&hosts, "a.org"), ["attach a"]);
    assert!(!hosts.settle(&host("b.org"), &text("b.org", "a"), time(1)), "nobody claims it");
}

#[test]
fn of_two_claims_the_proven_one_wins_and_the_other_is_refused_from_then_on() {
    let mut hosts = AttachedHosts::default();
    let at = host("a.org");
    hosts.claim(&at, wanted("a.org", "squatter", "two"), time(0), &may(&["squatter"])).unwrap();
    hosts.claim(&at, wanted("a.org", "a", "one"), time(1), &may(&["a"])).unwrap();
    assert_eq!(hosts.get(&at).unwrap().waiting(time(1)).count(), 2);
    assert!(hosts.settle(&at, &text("a.org", "a"), time(2)));
    assert_eq!(serving(&hosts, time(2)), ["a.org a"]);
    let again = hosts.claim(&at, wanted("a.org", "squatter", "two"), time(3), &may(&["squatter"]));
    assert_eq!(again, Err(HostRefusal::Taken));
    hosts.settle(&at, &text("a.org", "squatter"), time(3));
    assert_eq!(serving(&hosts, time(3)), ["a.org a"]);
}

#[test]
fn the_same_name_is_pointed_at_once_and_another_one_once_it_is_proven() {
    let mut hosts = attached();
    let at = host("a.org");
    assert_eq!(hosts.claim(&at, wanted("a.org", "a@3", "one"), time(1), &may(&["a"])), Ok(true));
    assert_eq!(serving(&hosts, time(1)), ["a.org a@3"]);
    assert_eq!(hosts.claim(&at, wanted("a.org", "b", "one"), time(1), &may(&["b"])), Err(HostRefusal::Taken));
    assert_eq!(hosts.claim(&at, wanted("a.org", "b", "one"), time(1), &may(&["a", "b"])), Ok(true));
    assert!(hosts.settle(&at, &text("a.org", "a"), time(1)), "the record of the old name is still there");
    assert_eq!(serving(&hosts, time(2)), ["a.org a@3"]);
    assert!(hosts.settle(&at, &text("a.org", "b"), time(2)));
    assert_eq!(serving(&hosts, time(2)), ["a.org b"]);
    assert_eq!(actions(&hosts, "a.org"), ["attach a", "point a@3", "attach b"]);
}

#[test]
fn a_missing_record_stops_a_host_after_three_days_and_frees_it_at_once() {
    let mut hosts = attached();
    let at = host("a.org");
    assert!(hosts.due(time(0)).is_empty());
    assert_eq!(hosts.due(time(1)), std::slice::from_ref(&at));
    assert!(hosts.settle(&at, &[], time(1)));
    assert!(!hosts.settle(&at, &[], time(2)), "nothing new");
    assert_eq!(hosts.next_end(time(2)), Some(time(4)));
    assert_eq!(serving(&hosts, time(3)), ["a.org a"]);
    assert!(serving(&hosts, time(4)).is_empty());
    assert!(hosts.settle(&at, &text("a.org", "a"), time(5)));
    assert_eq!(serving(&hosts, time(5)), ["a.org a"]);
    assert!(hosts.settle(&at, &[], time(6)));
    hosts.claim(&at, wanted("a.org", "buyer", "two"), time(6), &may(&["buyer"])).unwrap();
    assert!(hosts.settle(&at, &text("a.org", "buyer"), time(6)));
    assert_eq!(serving(&hosts, time(6)), ["a.org buyer"]);
    assert_eq!(actions(&hosts, "a.org"), ["attach a", "fail a", "recover a", "fail a", "attach buyer"]);
}

#[test]
fn what_has_had_its_time_goes() {
    let mut hosts = attached();
    hosts.claim(&host("b.org"), wanted("b.org", "b", "one"), time(0), &may(&["b"])).unwrap();
    assert!(!hosts.tidy(time(6)));
    assert!(hosts.tidy(time(7)));
    assert!(hosts.get(&host("b.org")).is_none());
    hosts.settle(&host("a.org"), &[], time(8));
    assert!(!hosts.tidy(time(37)));
    assert!(hosts.tidy(time(38)));
    assert_eq!(actions(&hosts, "a.org"), ["attach a", "fail a", "detach a"]);
    assert!(hosts.tidy(time(128)));
    assert!(hosts.get(&host("a.org")).is_none());
}

#[test]
fn only_those_who_may_detach_a_host() {
    let mut hosts = attached();
    let (at, other) = (host("a.org"), Subject::token("two").unwrap());
    let by = || (other.clone(), Some("moved".to_owned()));
    assert_eq!(hosts.detach(&at, by(), time(1), &may(&["b"])), Err(HostRefusal::Taken));
    assert_eq!(hosts.detach(&host("b.org"), by(), time(1), &may(&["b"])), Err(HostRefusal::Absent));
    assert_eq!(hosts.detach(&at, by(), time(1), &may(&["a"])), Ok(()));
    let last = hosts.get(&at).unwrap().history.last().unwrap();
    assert_eq!((&*last.action, &last.by, last.reason.as_deref()), ("detach", &other, Some("moved")));
    assert!(serving(&hosts, time(1)).is_empty());
    assert_eq!(hosts.detach(&at, by(), time(1), &may(&["a"])), Err(HostRefusal::Absent));
}

#[test]
fn claims_are_bounded_and_give_way_to_newer_ones() {
    let mut hosts = AttachedHosts::default();
    for number in 0..MAX_CLAIMS + 5 {
        let at = format!("h{number}.org");
        let name = format!("n{number}");
        hosts.claim(&host(&at), wanted(&at, &name, "one"), time(0), &|_| true).unwrap();
    }
    assert!(hosts.iter().count() <= MAX_CLAIMS);
    for number in 0..MAX_CLAIMS_OF_HOST + 3 {
        let (name, by) = (format!("m{number}"), format!("token{number}"));
        hosts.claim(&host("x.org"), wanted("x.org", &name, &by), time(1), &|_| true).unwrap();
    }
    let names: Vec<_> = hosts.get(&host("x.org")).unwrap().waiting(time(1)).map(|c| c.target.to_string()).collect();
    assert_eq!((names.len(), &*names[0]), (MAX_CLAIMS_OF_HOST, "m3"));
}

#[test]
fn attached_hosts_never_give_way() {
    let mut hosts = AttachedHosts::default();
    for number in 0..MAX_HOSTS {
        let entry = attached().get(&host("a.org")).unwrap().clone();
        hosts.0.insert(host(&format!("h{number}.org")), entry);
    }
    let full = hosts.claim(&host("x.org"), wanted("x.org", "a", "one"), time(1), &may(&["a"]));
    assert_eq!(full, Err(HostRefusal::Full));
    hosts.detach(&host("h7.org"), (Subject::admin(), None), time(1), &may(&["a"])).unwrap();
    assert_eq!(hosts.claim(&host("x.org"), wanted("x.org", "a", "one"), time(1), &may(&["a"])), Ok(true));
    assert_eq!(hosts.iter().count(), MAX_HOSTS);
}

#[test]
fn what_a_newer_version_adds_is_carried() {
    let text = serde_json::to_string(&attached()).unwrap();
    let text = text
        .replace("\"challenge\"", "\"later\":{\"x\":[1]},\"challenge\"")
        .replace("\"action\"", "\"y\":2,\"action\"");
    let read: AttachedHosts = serde_json::from_str(&text).unwrap();
    let again: serde_json::Value = serde_json::to_value(&read).unwrap();
    assert_eq!(again, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    assert_eq!(again["a.org"]["owner"]["later"]["x"][0], 1);
}

#[test]
fn of_a_circle_of_redirects_the_host_that_was_pointed_first_is_the_end() {
    let hosts = |leads: &[(&str, i32, &str)]| {
        let mut hosts = AttachedHosts::default();
        for (from, at, to) in leads {
            let redirect_to = (!to.is_empty()).then(|| host(to));
            let wanted = WantedHost { redirect_to, ..wanted(from, "a", "one") };
            hosts.claim(&host(from), wanted, time(*at), &may(&["a"])).unwrap();
            hosts.settle(&host(from), &text(from, "a"), time(*at));
        }
        hosts
    };
    let ends = |leads: &[(&str, i32, &str)]| {
        let hosts = hosts(leads);
        let mut ends: Vec<String> =
            ends_of_circles(hosts.serving(time(0))).into_iter().map(ToString::to_string).collect();
        ends.sort();
        ends
    };
    let (a, b, c, d) = ("a.org", "b.org", "c.org", "d.org");
    assert_eq!(ends(&[(a, 0, b), (b, 0, ""), (c, 0, a), (d, 0, "elsewhere.org")]), [""; 0]);
    assert_eq!(ends(&[(a, 0, b), (b, -1, a)]), [b]);
    assert_eq!(ends(&[(a, -1, b), (b, 0, a)]), [a]);
    assert_eq!(ends(&[(a, 0, b), (b, 0, a)]), [a], "whichever: always the same");
    // What only leads into a circle is no part of it, however old it is.
    assert_eq!(ends(&[(a, 0, b), (b, 0, c), (c, -1, b), (d, -2, a)]), [c]);
    assert_eq!(ends(&[(a, 0, b), (b, -1, a), (c, 0, d), (d, -1, c)]), [b, d]);
    assert_eq!(ends(&[(a, 0, b), (b, 0, c), (c, 0, d), (d, -1, a)]), [d]);
}
