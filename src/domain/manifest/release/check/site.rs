//! What static sites add to the rules for publishing: settings, variants, names that differ by their Unicode form only.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::super::super::problems::{Problems, quote};
use super::super::super::site_settings::{MAX_IMMUTABLE, MAX_IMMUTABLE_GLOB, SiteSettings, TrailingSlash};
use super::super::super::{Coding, UnknownCoding};
use crate::domain::pauses::Pauses as _;
use crate::domain::{Glob, text};

/// An artifact that states a content coding, or the file that it is a variant of.
pub(super) struct Variant<'a> {
    pub(super) index: usize,
    pub(super) name: &'a str,
    pub(super) encoding: Option<&'a str>,
    pub(super) of: Option<&'a str>,
}

/// Checks variants, and returns the names of the files that are none.
pub(super) fn check_variants<'a>(
    variants: &[Variant<'a>],
    names: &[&'a str],
    problems: &mut Problems,
) -> HashSet<&'a str> {
    let mut files: HashSet<&str> = names.iter().copied().with_pauses().collect();
    for variant in variants {
        files.remove(variant.name);
    }
    let others = LazyCell::new(|| variants.iter().map(|other| other.name).collect::<HashSet<_>>());
    let mut codings = HashSet::with_capacity(variants.len());
    for variant in variants {
        let place = format!("artifacts[{}]", variant.index);
        let coding = variant.encoding.map(str::parse::<Coding>);
        if let Some(Err(UnknownCoding)) = coding {
            let text = quote(variant.encoding.unwrap_or_default());
            problems
                .add(format!("{place}.encoding: {text:?} is none of {}", Coding::ALL.map(Coding::as_str).join(", ")));
        }
        match (variant.of, coding) {
            (None, _) => problems.add(format!("{place}.of: a file with an encoding names the file that it is one of")),
            (Some(_), None) => problems.add(format!("{place}.encoding: a variant of a file states its content coding")),
            (Some(of), _) if !files.contains(of) => {
                let why = if others.contains(of) { "is a variant itself" } else { "is not among the artifacts" };
                problems.add(format!("{place}.of: {:?} {why}", quote(of)));
            }
            (Some(of), Some(Ok(coding))) if !codings.insert((of, coding)) => {
                problems.add(format!("{place}.encoding: {:?} has another variant with {coding}", quote(of)));
            }
            _ => {}
        }
    }
    files
}

/// Checks that no two names are the same text in two Unicode forms: addresses of a site are in composed form (NFC).
pub(super) fn check_composed(names: &[&str], problems: &mut Problems) {
    let mut forms = HashMap::new();
    for name in names.iter().with_pauses().filter(|name| !name.is_ascii()) {
        if let Some(first) = forms.insert(text::composed(name), *name).filter(|first| first != name) {
            let (first, name) = (quote(first).escape_unicode(), quote(name).escape_unicode());
            problems.add(format!("artifacts: two names are one text in two Unicode forms: {first} and {name}"));
        }
    }
}

/// Checks the member `site`. `files` are the names of all artifacts that are no variants.
pub(super) fn check_settings(settings: &Value, files: &HashSet<&str>, problems: &mut Problems) {
    let Some(members) = settings.as_object() else {
        problems.add(format!("site: it is an object with members of {}", SiteSettings::MEMBERS.join(", ")));
        return;
    };
    for (member, value) in members {
        match member.as_str() {
            "fallback" => check_file("site.fallback", value, files, problems),
            "clean_urls" if !value.is_boolean() => problems.add("site.clean_urls: it is true or false".into()),
            "clean_urls" => {}
            "trailing_slash" => {
                if value.as_str().and_then(TrailingSlash::of).is_none() {
                    problems.add(format!("site.trailing_slash: it is one of {}", TrailingSlash::NAMES.join(", ")));
                }
            }
            "immutable" => check_globs(value, problems),
            "revalidate" => check_files(value, files, problems),
            unknown => {
                let known = SiteSettings::MEMBERS.join(", ");
                problems.add(format!("site: {:?} is none of {known}; a newer larder may know it", quote(unknown)));
            }
        }
    }
}

fn check_file(place: &str, value: &Value, files: &HashSet<&str>, problems: &mut Problems) {
    match value.as_str() {
        None => problems.add(format!("{place}: it is the name of a file")),
        Some(name) if !files.contains(name) => {
            problems.add(format!("{place}: {:?} is not among the artifacts, or is a variant of one", quote(name)));
        }
        Some(_) => {}
    }
}

fn check_files(value: &Value, files: &HashSet<&str>, problems: &mut Problems) {
    let Some(list) = value.as_array() else {
        problems.add("site.revalidate: it is a list of names of files".into());
        return;
    };
    for (index, name) in list.iter().enumerate() {
        check_file(&format!("site.revalidate[{index}]"), name, files, problems);
    }
}

fn check_globs(value: &Value, problems: &mut Problems) {
    let Some(list) = value.as_array() else {
        problems.add("site.immutable: it is a list of patterns such as \"assets/**\"".into());
        return;
    };
    if list.len() > MAX_IMMUTABLE {
        problems.add(format!("site.immutable: it has {} patterns, the limit is {MAX_IMMUTABLE}", list.len()));
    }
    for (index, glob) in list.iter().enumerate() {
        let place = format!("site.immutable[{index}]");
        match glob.as_str().map(|glob| (glob, glob.parse::<Glob>())) {
            None => problems.add(format!("{place}: it is a pattern such as \"assets/**\"")),
            Some((_, Err(error))) => problems.add(format!("{place}: {error}")),
            Some((glob, _)) if glob.len() > MAX_IMMUTABLE_GLOB => {
                problems.add(format!("{place}: it has {} bytes, the limit is {MAX_IMMUTABLE_GLOB}", glob.len()));
            }
            Some((glob, _)) if glob.starts_with('/') => {
                problems
                    .add(format!("{place}: {:?} matches nothing, for names of files begin without '/'", quote(glob)));
            }
            Some(_) => {}
        }
    }
}
