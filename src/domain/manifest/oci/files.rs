//! The layers of a manifest that are files with a name.

use super::super::release::is_media_type;
use super::super::tree::Tree;
use super::super::{Aliases, Artifact};
use super::{Document, Stated, TITLE, VERSION, annotation};
use crate::domain::FileName;

/// Type of the layer that holds a Helm chart.
pub(super) const HELM_CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// Type of the layer that holds the signed provenance of a Helm chart.
const HELM_PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";

/// The layers whose title is a legal file name; of equal names the first one counts. Helm never sets titles, so a chart
/// without any has the names that `helm package` writes. Layers of container images have no names.
pub(super) fn of(document: &Document, aliases: &Aliases) -> Vec<Artifact> {
    let layers = || document.layers.iter().flatten().filter(|layer| !layer.is_elsewhere());
    let titled =
        distinct(aliases, layers().filter_map(|layer| Some((annotation(layer.annotations.as_ref(), TITLE)?, layer))));
    if !titled.is_empty() {
        return titled;
    }
    let own = |name| annotation(document.annotations.as_ref(), name);
    let (Some(title), Some(version)) = (own(TITLE), own(VERSION)) else { return Vec::new() };
    let (chart, provenance) = (format!("{title}-{version}.tgz"), format!("{title}-{version}.tgz.prov"));
    let charts = layers().filter_map(|layer| match layer.media_type.as_deref()? {
        HELM_CHART => Some((chart.as_str(), layer)),
        HELM_PROVENANCE => Some((provenance.as_str(), layer)),
        _ => None,
    });
    distinct(aliases, charts)
}

/// The files among these, without names that are not legal or that a directory of files cannot hold beside an earlier
/// one.
fn distinct<'a>(aliases: &Aliases, layers: impl Iterator<Item = (&'a str, &'a Stated)>) -> Vec<Artifact> {
    let mut names = Tree::default();
    let mut files = Vec::new();
    for (title, layer) in layers {
        let Some(name) = title.parse().ok().filter(|name: &FileName| name.check().is_ok()) else { continue };
        let Ok(blob) = layer.descriptor(aliases) else { continue };
        if names.add(&name) {
            let media_type = layer.media_type.clone().filter(|text| is_media_type(text));
            files.push(Artifact { media_type, ..Artifact::of(name, blob) });
        }
    }
    files
}
