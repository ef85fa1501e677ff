//! Releases of a site that differ in what they lack, and whose every answer says which of them it is of.

use std::sync::Arc;

use larder::domain::Digest;
use larder::domain::site::is_hashed;
use serde_json::{Value, json};

use crate::schedule::random::Random;

/// Scripts that several releases share.
const SHARED: usize = 6;
/// The shared script that no page loads. Releases without it may have a rule for its path.
const RULED: usize = SHARED - 1;

/// One release.
#[derive(Debug)]
pub struct Build {
    /// What its texts and its header field say.
    pub label: String,
    /// By name, the start page first.
    pub files: Vec<(String, String)>,
    /// The path of a script of others that a rule redirects.
    pub ruled: Option<String>,
    /// Whether its start page answers navigations to paths without a file.
    pub has_fallback: bool,
}

impl Build {
    /// The release of this number.
    pub fn any(number: u64, random: &mut Random) -> Arc<Self> {
        let label = format!("b{number}");
        let mut files = vec![("index.html".to_owned(), format!("page {label}")), script(&format!("own of {label}"))];
        for optional in ["style.css", "about.html", "404.html"] {
            if random.chance(600) {
                files.push((optional.to_owned(), format!("{optional} {label}")));
            }
        }
        files.extend((0..SHARED).filter(|_| random.chance(500)).map(shared));
        let has_ruled = files.iter().any(|(name, _)| *name == shared(RULED).0);
        let ruled = (!has_ruled && random.chance(500)).then(|| format!("/{}", shared(RULED).0));
        let also = ruled.iter().map(|path| format!("{path} /moved-{label} 302\n"));
        let redirects: String = std::iter::once(format!("/go /target-{label} 302\n")).chain(also).collect();
        files.push(("_redirects".to_owned(), redirects));
        files.push(("_headers".to_owned(), format!("/*\n  X-Release: {label}\n")));
        Arc::new(Self { label, files, ruled, has_fallback: random.chance(500) })
    }

    /// The same with other bytes in one of its scripts.
    pub fn with_changed_script(&self, path: &str) -> Vec<(String, String)> {
        let change = |(name, text): &(String, String)| {
            let text = if *name == path { format!("{text}, changed") } else { text.clone() };
            (name.clone(), text)
        };
        self.files.iter().map(change).collect()
    }

    /// The text of a file that has an address.
    pub fn text(&self, name: &str) -> Option<&str> {
        let has_address = !name.starts_with('_');
        self.files.iter().find(|(found, _)| has_address && found == name).map(|(_, text)| text.as_str())
    }

    /// Name and text of each script that its page loads: what must be there for as long as somebody may have the page open.
    pub fn promised(&self) -> impl Iterator<Item = &(String, String)> {
        self.files.iter().filter(|(name, _)| name.starts_with("assets/") && *name != shared(RULED).0)
    }

    /// Names of the scripts that clients keep for a year.
    pub fn immutable(&self) -> Vec<&str> {
        self.files.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("assets/")).collect()
    }

    pub fn settings(&self) -> Value {
        if self.has_fallback { json!({"fallback": "index.html"}) } else { json!({}) }
    }

    /// Where `/go`, or the script that a rule is for, leads.
    pub fn redirect(&self, path: &str) -> Option<String> {
        if path == "/go" {
            return Some(format!("/target-{}", self.label));
        }
        self.ruled.as_ref().filter(|ruled| *ruled == path).map(|_| format!("/moved-{}", self.label))
    }
}

fn shared(at: usize) -> (String, String) {
    script(&format!("shared script {at}"))
}

/// A script under a name with a hash of it, as bundlers write them.
fn script(text: &str) -> (String, String) {
    let name = |salt: usize| {
        let hex = Digest::of(format!("{salt} {text}").as_bytes()).hex();
        format!("assets/a-{}.js", &hex[..10])
    };
    let name = (0..100).map(name).find(|name| is_hashed(name)).expect("a name with a hash");
    (name, text.to_owned())
}

/// The paths that are asked for whatever was published, and one that is nowhere.
pub const COMMON: [&str; 8] =
    ["/", "/about", "/style.css", "/go", "/nothing.js", "/some/route", "/_headers", "/assets/"];

/// The paths of the scripts that releases share.
pub fn shared_paths() -> Vec<String> {
    (0..SHARED).map(|at| format!("/{}", shared(at).0)).collect()
}
