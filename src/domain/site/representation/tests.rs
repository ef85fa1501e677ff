//! Which bytes answer which `Accept-Encoding`.

use super::super::fixture::{add_variant, manifest};
use super::*;

/// The coding chosen for a file of 100 bytes with variants of these sizes.
fn chosen(variants: &[(Coding, u64)], accept: Option<&str>, needs_identity: bool) -> String {
    let content = format!("app.js={}", "x".repeat(100));
    let mut manifest = manifest(&[&content]);
    for (coding, size) in variants {
        add_variant(&mut manifest, "app.js", *coding, *size);
    }
    let files = Files::new(&manifest);
    let chosen = choose(&files, files.find("app.js").unwrap(), accept, needs_identity);
    assert_eq!(chosen.varies, !variants.is_empty());
    assert_eq!(chosen.file.name.as_str().strip_prefix("app.js."), chosen.coding.map(Coding::extension));
    chosen.coding.map_or("identity", Coding::as_str).to_owned()
}

#[test]
fn the_smallest_of_the_best_is_sent() {
    let variants = [(Coding::Br, 20), (Coding::Gzip, 30), (Coding::Zstd, 25)];
    for (accept, wanted) in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0.999, zstd", "zstd"),
        ("gzip; q=0.001", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br; Q = 0 ,gzip ; q=0.0", "identity"),
        ("*", "br"),
        ("*;q=0", "identity"),
        ("br;q=0, *", "zstd"),
        ("identity", "identity"),
        ("identity;q=0", "identity"),
        ("identity;q=0.5, gzip;q=0.4", "identity"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=0.5, *;q=0.1", "gzip"),
        ("deflate, compress", "identity"),
        ("", "identity"),
        (",,;q=1,", "identity"),
        ("br;q=2, gzip", "gzip"),
        ("br;q=, br;level=5, br;q=0.1234", "identity"),
        ("br;q=1.001, gzip;q=0.1", "gzip"),
        ("brotli, xbr", "identity"),
    ] {
        assert_eq!(chosen(&variants, Some(accept), false), wanted, "{accept}");
    }
    assert_eq!(chosen(&variants, None, false), "identity");
    assert_eq!(chosen(&variants, Some("br"), true), "identity", "a range that names no representation");
    assert_eq!(chosen(&[], Some("br"), false), "identity");
    let reversed = [(Coding::Br, 40), (Coding::Gzip, 30)];
    assert_eq!(chosen(&reversed, Some("gzip, br"), false), "gzip");
    let useless = [(Coding::Br, 140)];
    assert_eq!(chosen(&useless, Some("br, identity"), false), "identity");
}
