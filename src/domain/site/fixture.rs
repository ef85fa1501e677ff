//! Sites for the tests of this directory.

use crate::domain::manifest::{Aliases, Artifact, Coding, Descriptor, Kind, Manifest, SiteSettings};
use crate::domain::{Digest, FileName};

use super::answer::{Outcome, RequestKind, Site};
use super::path::SitePath;
use super::rules::Rules;

/// A release of these files. The content of each is its name; `NAME=CONTENT` states another one.
pub(super) fn manifest(files: &[&str]) -> Manifest {
    let artifact = |text: &&str| {
        let (name, content) = text.split_once('=').unwrap_or((text, text));
        let blob = Descriptor { digest: Digest::of(content.as_bytes()), size: content.len() as u64 };
        Artifact::of(name.parse().unwrap(), blob)
    };
    let files: Vec<_> = files.iter().map(artifact).collect();
    let entrypoint = files.iter().map(|file| &file.name).find(|name| name.as_str() == "index.html").cloned();
    let (blobs, site) = (files.iter().map(|file| file.blob).collect(), SiteSettings::default());
    let (label, source, subject, children) = (None, None, None, Vec::new());
    let (media_type, kind, aliases) = ("application/json".into(), Kind::Static, Aliases::default());
    Manifest { media_type, label, kind, entrypoint, site, files, source, blobs, children, subject, aliases }
}

/// Adds a variant of a file, of this size.
pub(super) fn add_variant(manifest: &mut Manifest, of: &str, coding: Coding, size: u64) {
    let name: FileName = format!("{of}.{}", coding.extension()).parse().unwrap();
    let blob = Descriptor { digest: Digest::of(name.as_str().as_bytes()), size };
    manifest.files.push(Artifact { encoding: Some(coding), of: Some(of.parse().unwrap()), ..Artifact::of(name, blob) });
}

/// A site of these files without rules.
pub(super) fn site(files: &[&str]) -> Site {
    Site::compile(&manifest(files), Rules::default())
}

/// A site of these files with these rules, which may have problems.
pub(super) fn ruled(files: &[&str], redirects: &str, headers: &str) -> Site {
    let (rules, _) = Rules::read(Some(redirects.as_bytes()), Some(headers.as_bytes()));
    Site::compile(&manifest(files), rules)
}

/// The problems of rules beside these files, each in one line.
pub(super) fn problems(files: &[&str], redirects: &str, headers: &str) -> Vec<String> {
    let parsed = Rules::parse(Some(redirects.as_bytes()), Some(headers.as_bytes()), &manifest(files));
    parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// What an address leads to: `200 NAME`, `308 LOCATION`, or `404`. What the fallback and the pages for nothing say
/// is in brackets: `[200 NAME]`.
pub(super) fn answer(site: &Site, address: &str, navigation: bool) -> String {
    let (path, query) = address.split_once('?').map_or((address, None), |(path, query)| (path, Some(query)));
    let path = match SitePath::parse(path) {
        Ok(path) => path,
        Err(problem) => return if problem.is_malformed() { "400".into() } else { "404".into() },
    };
    let request = RequestKind { navigation };
    match site.look(&path, query, request) {
        Outcome::Page(page) => format!("{} {}", page.status, site.file_of(page.file).name),
        Outcome::Redirect(redirect) => format!("{} {}", redirect.status, redirect.location),
        Outcome::Nothing => {
            let page = site.fallback(&path, request).or_else(|| site.not_found(&path));
            page.map_or_else(|| "404".into(), |page| format!("[{} {}]", page.status, site.file_of(page.file).name))
        }
    }
}

/// A text of so many lines.
pub(super) fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().concat()
}
