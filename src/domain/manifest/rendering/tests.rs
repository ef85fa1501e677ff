//! Rendering 1 is frozen: what is in `tests/` beside this file must never change.

use super::super::{Aliases, Limits, ManifestError};
use super::*;

/// Manifests and their renderings.
const GOLDEN: [(&[u8], &str); 3] = [
    (include_bytes!("tests/files.json"), include_str!("tests/files.oci.json")),
    (include_bytes!("tests/site.json"), include_str!("tests/site.oci.json")),
    (include_bytes!("tests/oldest.json"), include_str!("tests/oldest.oci.json")),
];

#[test]
fn renderings_never_change() {
    for (manifest, golden) in GOLDEN {
        let rendering = render(manifest).unwrap();
        assert_eq!(std::str::from_utf8(&rendering).unwrap(), golden);
        assert!(is_rendering(&rendering, manifest));
        assert_eq!(digest(manifest), Some(Digest::of(&rendering)));
        let own = Descriptor { digest: Digest::of(manifest), size: manifest.len() as u64 };
        assert_eq!(claimed(&rendering), Some(own));
    }
}

#[test]
fn a_rendering_is_an_image_manifest_with_the_files_and_blobs_of_the_release() {
    // The last one has a name that is not served any more, as the rules for new names have changed.
    for (manifest, _) in &GOLDEN[..2] {
        let (release, rendering) = (release::read(manifest).unwrap(), render(manifest).unwrap());
        assert_eq!((oci::FORMAT.check)(&rendering, Limits::NONE), Ok::<(), ManifestError>(()));
        let image = (oci::FORMAT.read)(&rendering, &Aliases::default()).unwrap();
        let files = |manifest: &Manifest| -> Vec<_> {
            manifest.files.iter().map(|file| (file.name.clone(), file.blob)).collect()
        };
        assert_eq!(files(&image), files(&release));
        let own = Descriptor { digest: Digest::of(manifest), size: manifest.len() as u64 };
        assert_eq!(image.blobs[0], own);
        assert_eq!(image.blobs[1..], release.blobs);
    }
}

#[test]
fn only_the_exact_bytes_are_a_rendering() {
    let (manifest, golden) = GOLDEN[0];
    let spaced = golden.replacen(':', ": ", 1);
    assert!(!is_rendering(spaced.as_bytes(), manifest));
    assert!(!is_rendering(golden.as_bytes(), GOLDEN[1].0));
    assert!(claimed(spaced.as_bytes()).is_some(), "a claim is not yet a proof");
    for image in [golden.replace(CONFIG, "application/vnd.oci.empty.v1+json"), String::from("{}"), String::new()] {
        assert_eq!(claimed(image.as_bytes()), None, "{image}");
    }
}

#[test]
fn documents_of_other_formats_and_long_ones_have_no_rendering() {
    let rendering = render(GOLDEN[0].0).unwrap();
    assert_eq!(render(&rendering), None, "an image manifest is what it is");
    assert_eq!(render(br#"{"schemaVersion":2,"manifests":[]}"#), None);
    assert_eq!(render(br#"{"parts":{}}"#), None);
    assert_eq!(render(b"\xff"), None);
    let long = |files: usize| {
        let blob = Digest::of(b"");
        let artifacts: Vec<_> =
            (0..files).map(|at| serde_json::json!({"name": format!("{at:06}"), "blob": blob, "size": 0})).collect();
        let manifest = serde_json::json!({"artifacts": artifacts}).to_string();
        let rendering = render(manifest.as_bytes());
        assert_eq!(digest(manifest.as_bytes()), rendering.as_deref().map(Digest::of));
        rendering
    };
    assert!(long(20_000).is_some_and(|rendering| rendering.len() <= MAX_RENDERING));
    assert_eq!(long(30_000), None);
}
