//! What container clients find under a version: the lines to copy, the platforms of an index, the layers of an image.

use maud::{Markup, html};

use super::site::Site;
use super::text;
use crate::domain::manifest::oci::{self, Described, Listed};
use crate::domain::manifest::rendering;
use crate::domain::{Digest, LogName, ManifestName, RepositoryName};
use crate::http::state::BaseUrl;
use crate::protocol::LoadedManifest;

/// Most layers or platforms that are listed.
const MOST: usize = 100;
/// Size of a release's manifest, in bytes, above which its page does not say which digest its rendering has.
const RENDERED: usize = 256 << 10;

/// A version as container clients see it.
#[derive(Debug)]
pub(super) struct Image {
    /// Digest under which they find it, if that is known.
    digest: Option<Digest>,
    /// Whether it is something to run or to build on, rather than files with names.
    is_container: bool,
    platforms: Vec<Listed>,
    layers: Vec<Described>,
}

impl Image {
    /// What they see of this manifest.
    pub(super) fn of(loaded: &LoadedManifest) -> Self {
        let (bytes, nothing) =
            (&loaded.bytes, |digest| Self { digest, is_container: false, platforms: Vec::new(), layers: Vec::new() });
        let Ok(manifest) = loaded.manifest() else { return nothing(None) };
        if !oci::is_oci(&manifest.media_type) {
            let rendering = (bytes.len() <= RENDERED).then(|| rendering::render(bytes)).flatten();
            return nothing(rendering.map(|rendering| Digest::of(&rendering)));
        }
        Self {
            digest: Some(Digest::of(bytes)),
            is_container: manifest.files.is_empty(),
            platforms: oci::listed(bytes, &manifest.aliases).unwrap_or_default(),
            layers: oci::layers(bytes, &manifest.aliases).unwrap_or_default(),
        }
    }

    /// Whether the page has something to list instead of files.
    pub(super) fn is_container(&self) -> bool {
        self.is_container
    }
}

/// Which version a line to copy is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulled<'a> {
    pub(super) name: &'a ManifestName,
    /// Whether its tag leads to it.
    pub(super) is_active: bool,
    /// Whether the line for exactly this version is wanted.
    pub(super) exactly: bool,
}

impl Image {
    /// The commands with which a container client gets what the tag leads to, and exactly this version. None for names that
    /// such clients cannot state, and where `/v2/` is not at the root of a host.
    pub(super) fn commands(&self, site: &Site, Pulled { name, is_active, exactly }: Pulled<'_>) -> Markup {
        let host = site.absolute.split_once("://").map(|(_, host)| host).filter(|host| !host.contains('/'));
        let of = RepositoryName::of(&LogName::from(name.clone()));
        let Some((host, repository)) = host.zip(of) else { return html! {} };
        let client = if self.is_container { "docker pull" } else { "oras pull" };
        let tag = name.as_str().rsplit('/').next().unwrap_or_default();
        let exact = self.digest.filter(|_| exactly);
        html! {
            @if is_active || exact.is_some() {
                div.commands {
                    p.small.soft {
                        @if self.is_container { "With docker, podman and other container clients:" } @else { "With OCI clients, all files at once:" }
                    }
                    @if is_active {
                        (text::copyable("the line for OCI clients", &format!("{client} {host}/{repository}:{tag}")))
                    }
                    @if let Some(digest) = exact {
                        (text::copyable("the line for exactly this version", &format!("{client} {host}/{repository}@{digest}")))
                    }
                }
            }
        }
    }

    /// The platforms of an index, or the layers of an image.
    pub(super) fn contents(&self, base: &BaseUrl) -> Markup {
        let Self { platforms, layers, .. } = self;
        let number = if layers.is_empty() { platforms.len() } else { layers.len() };
        html! {
            @if number == 0 { p { "It has no layers." } }
            @else {
                ul.files {
                    @if layers.is_empty() { @for one in platforms.iter().take(MOST) { (platform(base, one)) } }
                    @for layer in layers.iter().take(MOST) {
                        li {
                            div.line {
                                span { (text::word(layer.media_type.as_deref().unwrap_or("Layer"))) }
                                span.n.soft { (text::size(layer.blob.size)) }
                            }
                            (bytes_of(base, layer.blob.digest, None))
                        }
                    }
                }
            }
            @if number > MOST { p.soft { "And " (number - MOST) " more; the manifest has all of them." } }
        }
    }
}

fn platform(base: &BaseUrl, listed: &Listed) -> Markup {
    let oci::Platform { os, architecture, variant } = &listed.platform;
    let words = || [os, architecture, variant].into_iter().flatten();
    html! {
        li {
            div.line {
                span {
                    @if listed.platform.is_attestation() { "About another entry" }
                    @else if words().next().is_none() { "Any platform" }
                    @else { @for (at, word) in words().enumerate() { @if at > 0 { "/" } (text::word(word)) } }
                }
                span.n.soft { "manifest of " (text::size(listed.child.blob.size)) }
            }
            (bytes_of(base, listed.child.blob.digest, listed.child.media_type.as_deref()))
        }
    }
}

fn bytes_of(base: &BaseUrl, digest: Digest, media_type: Option<&str>) -> Markup {
    html! {
        p.small {
            a href={(base) "/blobs/" (digest)} title=(digest) { code { (text::digest(digest)) } }
            @if let Some(media_type) = media_type { " " span.soft { (text::word(media_type)) } }
        }
    }
}
