//! Choosing a release of a catalog: by name, or the topmost one of a track that has no hazard.

use super::{Document, Release};

/// A release that was chosen by its track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The topmost release of the track without a hazard. `None` if all have one.
    pub release: Option<&'a Release>,
    /// The releases of the track above it, which have hazards.
    pub passed: Vec<&'a Release>,
}

impl Document {
    /// Chooses from the releases of a track, or from all. `None` if there are none.
    #[must_use]
    pub fn topmost(&self, track: Option<&str>) -> Option<Choice<'_>> {
        let mut on_track = self.releases.iter().filter(|release| is_on(release, track)).peekable();
        on_track.peek()?;
        let mut passed = Vec::new();
        for release in on_track {
            if !release.is_hazardous() {
                return Some(Choice { release: Some(release), passed });
            }
            passed.push(release);
        }
        Some(Choice { release: None, passed })
    }

    /// All tracks, in the order in which they appear, with the name of the release that each leads to; `None` where all
    /// of its releases have hazards.
    #[must_use]
    pub fn tracks(&self) -> Vec<(&str, Option<&Release>)> {
        let mut tracks: Vec<(&str, Option<&Release>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for release in &self.releases {
            for track in release.tracks() {
                let at = *places.entry(track).or_insert_with(|| {
                    tracks.push((track, None));
                    tracks.len() - 1
                });
                if !release.is_hazardous() {
                    tracks[at].1.get_or_insert(release);
                }
            }
        }
        tracks
    }
}

fn is_on(release: &Release, track: Option<&str>) -> bool {
    track.is_none_or(|track| release.tracks().any(|other| other == track))
}
