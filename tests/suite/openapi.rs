//! The OpenAPI documents of the surfaces: they must list the routes, methods and problem codes that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use larder::wire::Code;
use serde_json::Value;

use crate::support::server::TestServer;

/// The methods that a route can register.
const METHODS: [&str; 7] = ["get", "head", "put", "post", "patch", "delete", "options"];
/// Paths whose end is told apart by the handler, and the method of the route that they belong to.
const BELOW: [(&str, &str); 14] = [
    ("/collector/runs/{run}/plan", "/collector/runs/{*run}"),
    ("/versions/{target}/promote", "/versions/{*name}"),
    ("/versions/{target}/pin", "/versions/{*name}"),
    ("/versions/{target}/copy", "/versions/{*name}"),
    ("/sessions/{session}/parts/{part}", "/sessions/{*name}"),
    ("/refs/{target}/{file}", "/refs/{*path}"),
    ("/blobs/{digest}/{file}", "/blobs/{*digest}"),
    ("/catalogs/{catalog}/releases/{release}", "/catalogs/{*catalog}"),
    ("/catalogs/{catalog}/releases/{release}/items/{item}", "/catalogs/{*catalog}"),
    ("/timeless/{catalog}/lineage.tl", "/timeless/{*place}"),
    ("/timeless/{catalog}/mirrors.tl", "/timeless/{*place}"),
    ("/timeless/{catalog}/warehouse/{first}/{second}/{hash}", "/timeless/{*place}"),
    ("/sites/{host}", "/sites/{host}"),
    ("/sites/{host}/verify", "/sites/{host}/verify"),
];

/// All sources of the HTTP interface, without their tests.
fn sources() -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    found
}

/// A source without its unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("mod tests {").next().unwrap().to_owned()
}

/// The document of the native surface.
fn description() -> Value {
    let native = documents().into_iter().find(|(name, _)| *name == "native");
    native.unwrap().1
}

/// The documents of all surfaces, with their names.
fn documents() -> Vec<(&'static str, Value)> {
    larder::http::documents()
}

/// What follows the opening parenthesis of a call, up to the one that closes it.
fn arguments(text: &str) -> &str {
    let mut depth = 0;
    let end = text.find(|letter: char| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        depth < 0
    });
    &text[..end.unwrap()]
}

/// `METHOD ROUTE` for everything that the code registers.
fn registered() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in sources() {
        let text = code(&path);
        for (at, call) in text.match_indices(".route(") {
            let call = arguments(&text[at + call.len()..]);
            let (route, handlers) = call.trim_start().strip_prefix('"').unwrap().split_once('"').unwrap();
            // A nested call is a handler's own; only the chain itself counts.
            let chain = handlers.trim_start_matches([',', ' ', '\n']);
            // Such a handler tells methods apart itself; what it knows, some path below the route has.
            let knows_all = |method: &str| chain.starts_with("any(") && method != "options";
            let methods = METHODS.into_iter().filter(|method| {
                knows_all(method) || chain.starts_with(&format!("{method}(")) || chain.contains(&format!(".{method}("))
            });
            found.extend(methods.map(|method| format!("{method} {route}")));
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

/// The route of the code that serves a path of the description.
fn route_of(path: &str, routes: &BTreeSet<String>) -> String {
    if let Some((_, route)) = BELOW.iter().find(|(below, _)| *below == path) {
        return (*route).to_owned();
    }
    let Some((fixed, _)) = path.split_once('{') else { return path.to_owned() };
    let mut wild = routes.iter().filter_map(|entry| entry.split_once(' ')).map(|(_, route)| route);
    let found = wild.rfind(|route| route.starts_with(&format!("{fixed}{{*")));
    found.unwrap_or_else(|| panic!("no route for {path}")).to_owned()
}

fn described(routes: &BTreeSet<String>) -> BTreeSet<String> {
    let documents = documents();
    let paths = documents.iter().flat_map(|(_, document)| document["paths"].as_object().unwrap());
    let operations = paths.flat_map(|(path, item)| {
        let route = route_of(path, routes);
        let methods = METHODS.into_iter().filter(|method| item.get(method).is_some());
        methods.map(|method| format!("{method} {route}")).collect::<Vec<_>>()
    });
    operations.collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let registered = registered();
    let described = described(&registered);
    let undescribed: Vec<_> = registered.difference(&described).collect();
    assert!(undescribed.is_empty(), "{undescribed:?}");
    // A GET answers HEAD too, so that HEAD may be described without being registered.
    let invented: Vec<_> = described
        .difference(&registered)
        .filter(|entry| !entry.strip_prefix("head ").is_some_and(|route| registered.contains(&format!("get {route}"))))
        .collect();
    assert!(invented.is_empty(), "{invented:?}");
}

/// Where the handler tells paths and methods apart: it refuses the methods that are not described, and names those that
/// are.
#[tokio::test]
async fn a_registry_allows_what_is_described() {
    let server = TestServer::start().await;
    let document = documents().into_iter().find(|(name, _)| *name == "oci").unwrap().1;
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        // What it answers to other methods is for clients that do not know it.
        if path == "/v2/token" {
            continue;
        }
        let described: BTreeSet<_> = METHODS.into_iter().filter(|method| item.get(method).is_some()).collect();
        let other = ["post", "get", "put"].into_iter().find(|method| !described.contains(method)).unwrap();
        let digest = format!("sha256:{}", "0".repeat(64));
        let path = path.replace("{repository}", "a/b").replace("{digest}", &digest);
        let path = path.replace("{reference}", "latest").replace("{upload}", "x");
        let method = reqwest::Method::from_bytes(other.to_ascii_uppercase().as_bytes()).unwrap();
        let answer = server.request(method, &path).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{other} {path}");
        let allowed = answer.headers()["allow"].to_str().unwrap().to_ascii_lowercase();
        // Whoever answers GET answers HEAD, and OPTIONS is answered for all.
        let implied = |method: &&str| !["head", "options"].contains(method);
        let allowed: BTreeSet<_> = allowed.split(',').map(str::trim).filter(implied).collect();
        assert_eq!(allowed, described.into_iter().filter(implied).collect(), "{path}");
        checked += 1;
    }
    assert!(checked >= 8, "only {checked}");
}

#[test]
fn every_action_that_the_handler_knows_is_described() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/native/versions.rs")).unwrap();
    let description = description();
    for action in ["promote", "pin", "copy"] {
        assert!(text.contains(&format!("Some(\"{action}\")")), "{action}");
        assert!(description["paths"].get(format!("/versions/{{target}}/{action}")).is_some(), "{action}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_used() {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    for (surface, description) in documents() {
        let mut references = BTreeSet::new();
        walk(&description, &mut references);
        for reference in &references {
            let target = reference.strip_prefix('#').and_then(|pointer| description.pointer(pointer));
            assert!(target.is_some(), "{surface}: {reference}");
        }
        for (section, entries) in description["components"].as_object().unwrap() {
            for name in entries.as_object().unwrap().keys().filter(|_| section != "securitySchemes") {
                let reference = format!("#/components/{section}/{name}");
                assert!(references.contains(&reference), "{surface}: {section}/{name} is not used");
            }
        }
    }
}

#[test]
fn every_problem_code_is_listed_and_nothing_else() {
    let mut used = BTreeSet::new();
    for path in sources() {
        let text = code(&path).replace("StatusCode::", "");
        let variants =
            text.split("Code::").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap());
        // Functions and constants of the type are in lower case or in capitals.
        used.extend(variants.filter(|name| name.chars().any(|c| c.is_ascii_lowercase())).map(str::to_owned));
    }
    used.retain(|name| name.starts_with(|c: char| c.is_ascii_uppercase()));
    let known: BTreeSet<String> = Code::KNOWN.iter().map(|code| format!("{code:?}")).collect();
    assert_eq!(used.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(known.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "never answered");
    let description = description();
    let listed =
        description["components"]["schemas"]["ProblemDetails"]["properties"]["code"]["enum"].as_array().unwrap();
    let listed: Vec<&str> = listed.iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(listed, Code::KNOWN.iter().map(Code::as_str).collect::<Vec<_>>());
}

#[test]
fn every_code_stands_with_a_status() {
    let description = description();
    let text = description["components"]["responses"].to_string() + &description["info"].to_string();
    for code in Code::KNOWN {
        assert!(text.contains(code.as_str()), "no answer names {code}");
    }
}

#[test]
fn the_description_is_of_this_version_and_every_operation_has_its_own_name() {
    let documents = documents();
    for (surface, description) in &documents {
        assert_eq!(description["openapi"], "3.1.0", "{surface}");
        assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"), "{surface}");
    }
    let items = documents.iter().flat_map(|(_, description)| description["paths"].as_object().unwrap().values());
    let operations: Vec<_> = items.flat_map(|item| METHODS.into_iter().filter_map(|method| item.get(method))).collect();
    let names: BTreeSet<_> = operations.iter().filter_map(|operation| operation["operationId"].as_str()).collect();
    assert_eq!(names.len(), operations.len());
    for operation in operations {
        assert!(operation["summary"].is_string() && operation["responses"].is_object(), "{operation}");
    }
}

#[test]
fn a_manifest_requires_what_its_reader_does() {
    let schemas = &description()["components"]["schemas"];
    assert_eq!(schemas["ManifestDocument"]["required"], serde_json::json!(["artifacts"]));
    assert_eq!(schemas["ArtifactEntry"]["required"], serde_json::json!(["blob", "size", "name"]));
}

#[tokio::test]
async fn the_document_is_served() {
    let server = TestServer::start().await;
    let answer = server.get("/openapi.json").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), description());
}
