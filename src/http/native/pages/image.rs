//! What container clients find under a version: the lines to copy, the platforms of an index, the layers of an image.

use maud::{Markup, html};

use super::text;
use super::version::VersionView;
use crate::domain::manifest::oci::{self, Described, Listed};
use crate::domain::manifest::rendering;
use crate::domain::{Digest, LogName, RepositoryName};
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
            platforms: oci::listed(bytes).unwrap_or_default(),
            layers: oci::layers(bytes).unwrap_or_default(),
        }
    }

    /// Whether the page has something to list instead of files.
    pub(super) fn is_container(&self) -> bool {
        self.is_container
    }
}

impl VersionView<'_> {
    /// The command with which a container client gets exactly this version, and the one that gets what the tag leads to.
    /// None for names that such clients cannot state, and where `/v2/` is not at the root of a host.
    pub(super) fn pull(&self) -> Markup {
        let (image, name) = (self.image, self.name);
        let host = self.site.absolute.split_once("://").map(|(_, host)| host).filter(|host| !host.contains('/'));
        let of = RepositoryName::of(&LogName::from(name.clone()));
        let Some((host, repository)) = host.zip(of) else { return html! {} };
        let client = if image.is_container { "docker pull" } else { "oras pull" };
        let tag = name.as_str().rsplit('/').next().unwrap_or_default();
        html! {
            div.commands {
                p.small.soft {
                    @if image.is_container { "With docker, podman and other container clients:" } @else { "With OCI clients, all files at once:" }
                }
                @if self.row.state == crate::domain::State::Active {
                    (text::copyable("the command", &format!("{client} {host}/{repository}:{tag}")))
                }
                @if let Some(digest) = image.digest.filter(|_| !self.is_excerpt) {
                    (text::copyable("the command for exactly this version", &format!("{client} {host}/{repository}@{digest}")))
                }
            }
        }
    }

    /// The platforms of an index, or the layers of an image.
    pub(super) fn contents(&self) -> Markup {
        let Image { platforms, layers, .. } = self.image;
        let is_index = layers.is_empty();
        let number = if is_index { platforms.len() } else { layers.len() };
        html! {
            @if is_index {
                ul.files { @for one in platforms.iter().take(MOST) { (self.platform(one)) } }
            } @else {
                ul.files { @for layer in layers.iter().take(MOST) { (self.layer(layer)) } }
            }
            @if number == 0 { p { "It has no layers." } }
            @if number > MOST { p.soft { "And " (number - MOST) " more; the manifest has all of them." } }
        }
    }

    fn platform(&self, listed: &Listed) -> Markup {
        let oci::Platform { os, architecture, variant } = &listed.platform;
        let is_attestation = listed.platform.is_attestation();
        let words = || [os, architecture, variant].into_iter().flatten();
        html! {
            li {
                div.line {
                    span {
                        @if is_attestation { "About another entry" }
                        @else if words().next().is_none() { "Any platform" }
                        @else { @for (at, word) in words().enumerate() { @if at > 0 { "/" } (text::word(word)) } }
                    }
                    span.n.soft { "manifest of " (text::size(listed.child.blob.size)) }
                }
                (self.digest_of(listed.child.blob.digest, listed.child.media_type.as_deref()))
            }
        }
    }

    fn layer(&self, layer: &Described) -> Markup {
        html! {
            li {
                div.line {
                    span { (text::word(layer.media_type.as_deref().unwrap_or("Layer"))) }
                    span.n.soft { (text::size(layer.blob.size)) }
                }
                (self.digest_of(layer.blob.digest, None))
            }
        }
    }

    fn digest_of(&self, digest: Digest, media_type: Option<&str>) -> Markup {
        html! {
            p.small {
                a href={(self.site.base) "/blobs/" (digest)} title=(digest) { code { (text::digest(digest)) } }
                @if let Some(media_type) = media_type { " " span.soft { (text::word(media_type)) } }
            }
        }
    }
}
