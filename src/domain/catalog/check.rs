//! The rules that a document has to follow by itself: all problems at once, each with its place.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display};
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use super::problem::quote;
use super::{CatalogName, Document, Problems, Rule, TYPE};
use crate::domain::json::{Members, Tree, reason, strict};
use crate::domain::{Digest, FileName, Selector, Target, Ware, text};

/// Maximum size of a document, in bytes.
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// Maximum length of the name of a release or item, in bytes.
const MAX_NAME: usize = 128;
/// Maximum number of texts in a map of metadata or hazards.
const MAX_TEXTS: usize = 64;
/// Maximum number of items of a release: that of files of a release.
const MAX_ITEMS: usize = 10_000;
/// Maximum length of such a text, in bytes.
const MAX_TEXT: usize = 4096;
/// Maximum number of mirrors, of types of warehouses, and of warehouses of one type.
const MAX_ADDRESSES: usize = 16;
/// Maximum length of an address, in bytes.
const MAX_ADDRESS: usize = 2048;
/// Largest number that every reader of JSON keeps exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;
/// How far ahead a clock may be by which a document was issued.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// The longest time that a document may be valid.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 400);

/// Where something stands in a document: written out only for what is wrong there.
#[derive(Debug, Clone, Copy)]
enum Place<'p> {
    Document,
    Member(&'p Self, &'p str),
    Item(&'p Self, usize),
}

impl<'p> Place<'p> {
    fn member(&'p self, name: &'p str) -> Self {
        Self::Member(self, name)
    }
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => Ok(()),
            Self::Member(Self::Document, name) => f.write_str(quote(name)),
            Self::Member(of, name) => write!(f, "{of}.{}", quote(name)),
            Self::Item(of, at) => write!(f, "{of}[{at}]"),
        }
    }
}

/// Checks the bytes of a document for publishing as this catalog. Returns it as far as it can be read, and what is wrong
/// with it.
#[must_use]
pub fn check(bytes: &[u8], name: &CatalogName) -> (Option<Document>, Problems) {
    if bytes.len() as u64 > MAX_DOCUMENT {
        let detail = format!("it has {} bytes, more than {MAX_DOCUMENT}", bytes.len());
        return (None, Problems::one(Rule::Document, "", detail));
    }
    let tree = match strict::<Tree>(bytes) {
        Ok(tree) => tree,
        Err(error) => return (None, Problems::one(Rule::Document, "", error.to_string())),
    };
    let mut check = Check::default();
    match tree.as_object() {
        Some(document) => check.document(document, name),
        None => check.add(Rule::Document, &Place::Document, "it is not an object"),
    }
    let mut problems = check.problems;
    match serde_json::from_slice(bytes) {
        Ok(document) => (Some(document), problems),
        Err(error) => {
            // Whatever prevents reading should have been found, with its place.
            if problems.is_empty() {
                problems.add(Rule::Document, "", reason(&error));
            }
            (None, problems)
        }
    }
}

/// Checks a document's period of validity at this time.
#[must_use]
pub fn check_times(document: &Document, now: Timestamp) -> Problems {
    let mut problems = Problems::default();
    let Document { issued, expires, .. } = *document;
    if issued.duration_since(now) > AHEAD {
        problems.add(Rule::Serial, "issued", format!("{issued} is more than 5 minutes ahead of {now}"));
    }
    if expires <= now {
        problems.add(Rule::Serial, "expires", format!("{expires} is over; it is {now}"));
    }
    if expires <= issued || expires.duration_since(issued) > LONGEST {
        problems.add(Rule::Serial, "expires", format!("{expires} is not within 400 days after {issued}"));
    }
    problems
}

#[derive(Default)]
struct Check {
    problems: Problems,
}

impl Check {
    fn add(&mut self, rule: Rule, place: &Place<'_>, detail: impl Into<String>) {
        self.problems.add(rule, place.to_string(), detail);
    }

    fn document(&mut self, document: &Members<'_>, name: &CatalogName) {
        let whole = &Place::Document;
        if self.text(document, "type", whole).is_some_and(|kind| kind != TYPE) {
            self.add(Rule::Document, &whole.member("type"), format!("it must be {TYPE:?}"));
        }
        match self.text(document, "name", whole).map(str::parse::<CatalogName>) {
            Some(Err(error)) => self.add(Rule::Name, &whole.member("name"), error.to_string()),
            Some(Ok(stated)) if stated != *name => {
                let detail = format!("it is {stated}, but the document is published as {name}");
                self.add(Rule::Name, &whole.member("name"), detail);
            }
            _ => {}
        }
        if self.number(document, "serial", whole) == Some(0) {
            self.add(Rule::Serial, &whole.member("serial"), "serials begin with 1");
        }
        for time in ["issued", "expires"] {
            self.parsed::<Timestamp>(document, time, whole, Rule::Document);
        }
        if given(document, "previous").is_some() {
            self.parsed::<Digest>(document, "previous", whole, Rule::Document);
        }
        if let Some(mirrors) = document.get("mirrors") {
            self.addresses(mirrors, &whole.member("mirrors"), is_web);
        }
        if let Some(warehouses) = document.get("warehouses") {
            self.warehouses(warehouses, &whole.member("warehouses"));
        }
        let place = whole.member("releases");
        match document.get("releases").and_then(Tree::as_list) {
            Some(releases) => self.releases(releases, &place),
            None => self.add(Rule::Document, &place, "it must be a list"),
        }
    }

    fn warehouses(&mut self, warehouses: &Tree<'_>, place: &Place<'_>) {
        match warehouses.as_object() {
            Some(warehouses) if warehouses.count() <= MAX_ADDRESSES => {
                for (kind, list) in warehouses.iter() {
                    self.addresses(list, &place.member(kind), |text| text.contains("://"));
                }
            }
            _ => self.add(Rule::Document, place, "it must be an object of at most 16 lists of addresses"),
        }
    }

    fn addresses(&mut self, list: &Tree<'_>, place: &Place<'_>, is_address: impl Fn(&str) -> bool) {
        let is_good = |value: &Tree<'_>| {
            value.as_text().is_some_and(|text| {
                text.len() <= MAX_ADDRESS && text.bytes().all(|b| b.is_ascii_graphic()) && is_address(text)
            })
        };
        let good = list.as_list().is_some_and(|list| list.len() <= MAX_ADDRESSES && list.iter().all(is_good));
        if !good {
            self.add(Rule::Document, place, "it must be a list of at most 16 addresses such as https://example.org/");
        }
    }

    fn releases(&mut self, releases: &[Tree<'_>], list: &Place<'_>) {
        let mut seen = HashMap::new();
        for (at, release) in releases.iter().enumerate() {
            let place = Place::Item(list, at);
            let Some(release) = release.as_object() else {
                self.add(Rule::Document, &place, "it must be an object");
                continue;
            };
            if let Some(name) = self.text(release, "name", &place) {
                let place = place.member("name");
                if let Some(rule) = name_problem(name) {
                    self.add(Rule::ReleaseName, &place, format!("{:?}: {rule}", quote(name)));
                } else if name.starts_with('_') {
                    self.add(Rule::ReleaseName, &place, "names that begin with '_' are reserved");
                } else if let Some(earlier) = seen.insert(name, at) {
                    self.add(Rule::ReleaseName, &place, format!("releases[{earlier}] has this name, too"));
                }
            }
            self.release(release, &place);
        }
    }

    fn release(&mut self, release: &Members<'_>, place: &Place<'_>) {
        if let Some(at) = self.parsed::<Target>(release, "at", place, Rule::Document)
            && !matches!(at.selector, Selector::Label(_))
            && at.explicit
        {
            self.add(Rule::Document, &place.member("at"), "it must be NAME or NAME@LABEL");
        }
        self.parsed::<Digest>(release, "manifest", place, Rule::Document);
        self.number(release, "size", place);
        self.parsed::<Timestamp>(release, "published", place, Rule::Document);
        let items = place.member("items");
        match release.get("items").and_then(Tree::as_object) {
            Some(list) if (1..=MAX_ITEMS).contains(&list.count()) => self.items(list, &items),
            _ => self.add(Rule::Document, &items, "it must be an object of 1 to 10000 items"),
        }
        for texts in ["metadata", "hazards"] {
            self.texts(release, texts, place);
        }
        if let Some(replay) = given(release, "replay") {
            let place = place.member("replay");
            match replay.as_object() {
                Some(replay) => drop(self.parsed::<FileName>(replay, "file", &place, Rule::ItemFile)),
                None => self.add(Rule::Document, &place, "it must be an object"),
            }
        }
    }

    fn items(&mut self, items: &Members<'_>, list: &Place<'_>) {
        for (name, item) in items.iter() {
            let place = list.member(name);
            if let Some(rule) = name_problem(name) {
                self.add(Rule::ItemName, &place, rule);
            }
            let Some(item) = item.as_object() else {
                self.add(Rule::Document, &place, "it must be an object");
                continue;
            };
            let is_ware = given(item, "ware").is_some();
            if given(item, "file").is_some() {
                self.parsed::<FileName>(item, "file", &place, Rule::ItemFile);
            } else if !is_ware && let Err(error) = name.parse::<FileName>() {
                self.add(Rule::ItemFile, &place, format!("it needs a file, because {error}"));
            }
            if is_ware {
                self.parsed::<Ware>(item, "ware", &place, Rule::WareId);
            }
        }
    }

    /// Checks a member that is a map of texts, if it is given.
    fn texts(&mut self, release: &Members<'_>, member: &str, place: &Place<'_>) {
        let (Some(texts), place) = (given(release, member), place.member(member)) else { return };
        let Some(texts) = texts.as_object().filter(|texts| texts.count() <= MAX_TEXTS) else {
            return self.add(Rule::Metadata, &place, "it must be null or an object of at most 64 texts");
        };
        for (key, value) in texts.iter() {
            let place = place.member(key);
            match value.as_text() {
                _ if key.is_empty() || key.len() > MAX_NAME => {
                    self.add(Rule::Metadata, &place, "a key has 1 to 128 bytes");
                }
                Some(value) if value.len() > MAX_TEXT => {
                    self.add(Rule::Metadata, &place, format!("a text has at most {MAX_TEXT} bytes"));
                }
                Some(tracks) if (member, key) == ("metadata", "tracks") => self.tracks(tracks, &place),
                Some(_) => {}
                None => self.add(Rule::Metadata, &place, "it must be a text"),
            }
        }
    }

    fn tracks(&mut self, tracks: &str, place: &Place<'_>) {
        let mut seen = HashSet::new();
        for track in tracks.split(',') {
            if track.trim().is_empty() || text::first_hidden(track).is_some() {
                self.add(Rule::Metadata, place, "tracks are separated by single commas: beta,stable");
            } else if track.trim() == "latest" {
                self.add(Rule::Metadata, place, "`latest` is no track: it means something else tomorrow");
            } else if !seen.insert(track.trim()) {
                self.add(Rule::Metadata, place, format!("{:?} is there twice", quote(track)));
            }
        }
    }

    fn text<'v>(&mut self, object: &'v Members<'_>, member: &str, place: &Place<'_>) -> Option<&'v str> {
        let text = object.get(member).and_then(Tree::as_text);
        if text.is_none() {
            self.add(Rule::Document, &place.member(member), "it must be a text");
        }
        text
    }

    fn number(&mut self, object: &Members<'_>, member: &str, place: &Place<'_>) -> Option<u64> {
        let number = object.get(member).and_then(Tree::as_number).filter(|number| *number <= MAX_NUMBER);
        if number.is_none() {
            self.add(Rule::Document, &place.member(member), "it must be a whole number from 0 to 2^53 - 1");
        }
        number
    }

    fn parsed<T: FromStr>(&mut self, object: &Members<'_>, member: &str, place: &Place<'_>, rule: Rule) -> Option<T>
    where
        T::Err: Display,
    {
        let parsed = self.text(object, member, place)?.parse();
        parsed.map_err(|error: T::Err| self.add(rule, &place.member(member), error.to_string())).ok()
    }
}

/// The member with this name, if it is not null.
fn given<'v, 'd>(object: &'v Members<'d>, member: &str) -> Option<&'v Tree<'d>> {
    object.get(member).filter(|value| **value != Tree::Null)
}

/// Whether readers would use a mirror of this address: no secrets in it, and nothing that belongs to one request.
fn is_web(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['@', '?', '#']))
}

/// What is wrong with the name of a release or an item, if anything is.
fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > MAX_NAME {
        Some("a name has 1 to 128 bytes")
    } else if name.contains(':') {
        Some("a name has no ':', which separates catalog, release and item")
    } else if name.trim() != name {
        Some("a name neither begins nor ends with a space")
    } else if text::first_hidden(name).is_some() {
        Some("a name has no characters that hide or reorder text")
    } else {
        None
    }
}
