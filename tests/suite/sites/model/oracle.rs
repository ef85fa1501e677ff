//! What a site has to answer, by what was done to it: the promises of the guide, written down once more and without any
//! of the code that keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::builds::Build;

/// For how long files of earlier versions are promised, in seconds.
pub const WINDOW: u64 = 3600;

/// Names of pages. Those of earlier versions are not promised.
const PAGES: [&str; 3] = ["index.html", "about.html", "404.html"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Staged,
    Active,
    Archived,
    Retired,
}

#[derive(Debug, Clone)]
pub struct Version {
    pub build: Arc<Build>,
    pub standing: Standing,
    /// When it came to that.
    since: u64,
}

/// What was done to the name so far.
#[derive(Debug, Clone)]
pub struct State {
    pub versions: BTreeMap<u64, Version>,
    is_withdrawn: bool,
    /// Seconds since the beginning.
    pub now: u64,
    /// Of how many versions earlier files are promised.
    limit: usize,
}

/// How somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page loads it.
    Load,
    /// Somebody goes there.
    Navigate,
    /// A program asks, and says nothing of what for.
    Program,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The version whose preview is asked, else the site.
    pub preview: Option<u64>,
    pub path: String,
    pub kind: Kind,
}

/// Why an answer is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A file of the version that the host stands for, at its own path.
    File,
    /// Anything else: not before a look that is newer than the request.
    Other,
}

/// What can be seen of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    pub status: u16,
    /// `None` for pages that the server has of its own, and redirects.
    pub text: Option<String>,
    /// What the header rules of the release say.
    pub release: Option<String>,
    /// The other version that a file is of.
    pub earlier: Option<u64>,
    pub location: Option<String>,
    pub is_immutable: bool,
    /// Whether nobody may keep it.
    pub is_unkept: bool,
    pub is_unlisted: bool,
}

impl State {
    pub fn new(limit: usize) -> Self {
        Self { versions: BTreeMap::new(), is_withdrawn: false, now: 0, limit }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The same at another moment.
    pub fn at(self, now: u64) -> Self {
        Self { now, ..self }
    }

    pub fn active(&self) -> Option<u64> {
        self.of(Standing::Active).next()
    }

    pub fn of(&self, standing: Standing) -> impl Iterator<Item = u64> {
        self.versions.iter().filter(move |(_, version)| version.standing == standing).map(|(number, _)| *number)
    }

    fn set(&mut self, number: u64, standing: Standing) {
        let version = self.versions.get_mut(&number).expect("a version");
        (version.standing, version.since) = (standing, self.now);
    }

    pub fn stage(&mut self, number: u64, build: &Arc<Build>) {
        let version = Version { build: Arc::clone(build), standing: Standing::Staged, since: self.now };
        assert!(self.versions.insert(number, version).is_none(), "version {number} is new");
        self.is_withdrawn = false;
    }

    pub fn promote(&mut self, number: u64) {
        self.archive();
        self.set(number, Standing::Active);
        self.is_withdrawn = false;
    }

    fn archive(&mut self) {
        if let Some(active) = self.active() {
            self.set(active, Standing::Archived);
        }
    }

    pub fn retire(&mut self, number: u64) {
        self.set(number, Standing::Retired);
    }

    pub fn withdraw(&mut self) {
        self.archive();
        self.is_withdrawn = true;
    }

    pub fn delete(&mut self) {
        for version in self.versions.values_mut().filter(|version| version.standing != Standing::Retired) {
            version.standing = Standing::Retired;
        }
        self.is_withdrawn = true;
    }

    /// A collector that keeps nothing but what is promised.
    pub fn collect(&mut self) {
        let kept = self.eligible();
        let expired: Vec<u64> = self.of(Standing::Archived).filter(|number| !kept.contains(number)).collect();
        for number in expired {
            self.retire(number);
        }
    }

    /// The versions whose files stay in reach, the one that was archived last first.
    fn eligible(&self) -> Vec<u64> {
        let mut archived: Vec<u64> = self.of(Standing::Archived).collect();
        archived.sort_by_key(|number| std::cmp::Reverse(self.versions[number].since));
        archived.truncate(self.limit);
        archived.retain(|number| self.now - self.versions[number].since < WINDOW);
        archived
    }

    /// Whether pages of this version that are open find what they load.
    pub fn is_promised(&self, number: u64) -> bool {
        self.active().is_some_and(|active| active == number || self.eligible().contains(&number))
    }

    pub fn answer(&self, asked: &Question) -> (Source, Answer) {
        let found = match asked.preview {
            None => match self.active() {
                Some(active) => Ok(active),
                None if self.is_withdrawn => Err(410),
                None => Err(404),
            },
            Some(number) => match self.versions.get(&number).map(|version| version.standing) {
                None => Err(404),
                Some(Standing::Retired) => Err(410),
                Some(_) => Ok(number),
            },
        };
        let (source, mut answer) = match found {
            Ok(number) => self.of_version(number, asked),
            Err(status) => (Source::Other, refused(status)),
        };
        answer.is_unlisted |= asked.preview.is_some();
        (source, answer)
    }

    fn of_version(&self, number: u64, asked: &Question) -> (Source, Answer) {
        let build = &self.versions[&number].build;
        let release = Some(build.label.clone());
        let name = match asked.path.as_str() {
            "/" => "index.html",
            "/about" => "about.html",
            path => &path[1..],
        };
        if let Some(text) = build.text(name) {
            let is_immutable = name.starts_with("assets/");
            return (Source::File, Answer { release, is_immutable, ..served(text) });
        }
        if let Some(location) = build.redirect(&asked.path) {
            return (Source::Other, Answer { status: 302, location: Some(location), ..Answer::default() });
        }
        (Source::Other, self.absent(build, name, asked))
    }

    fn absent(&self, build: &Build, name: &str, asked: &Question) -> Answer {
        let release = Some(build.label.clone());
        let has_file = |number: &u64| self.versions[number].build.text(name).map(|text| (*number, text));
        let earlier = self.eligible().iter().find_map(has_file).filter(|_| !PAGES.contains(&name));
        if let Some((number, text)) = earlier.filter(|_| asked.preview.is_none() && asked.kind != Kind::Navigate) {
            let is_immutable = name.starts_with("assets/");
            let answer = Answer { release, is_immutable, is_unlisted: true, ..served(text) };
            return Answer { earlier: Some(number), ..answer };
        }
        if build.has_fallback && asked.kind == Kind::Navigate && asked.path != "/_headers" {
            return Answer { release, ..served(build.text("index.html").expect("a start page")) };
        }
        match build.text("404.html") {
            Some(text) => Answer { status: 404, text: Some(text.to_owned()), release, is_unkept: true, ..refused(404) },
            None => refused(404),
        }
    }
}

fn served(text: &str) -> Answer {
    Answer { status: 200, text: Some(text.to_owned()), ..Answer::default() }
}

fn refused(status: u16) -> Answer {
    Answer { status, is_unkept: true, ..Answer::default() }
}
