//! Names with and without hashes.

use super::*;

#[test]
fn hashes_of_bundlers_are_recognised() {
    for name in [
        "a-CjL4fkWS.js",
        "b-BTV8LsEM.js",
        "index-DiwrgT4a.css",
        "app.3f2a9c81.js",
        "main.d41d8cd98f00b204e980.chunk.css",
        "vendor-5d0c2b7f9e.js.map",
        "chunk-K7XN2QPA.js",
        "index.BX3-a_9q.css",
        "logo-a-B3cD_e.svg",
        "inter-latin-400-normal-C38fXH4l.woff2",
        "polyfills-5CFQRCPP.js",
        "_app-0a1b2c3d4e5f6789.js",
    ] {
        assert!(is_hashed(name), "{name}");
    }
}

#[test]
fn names_that_people_give_are_not() {
    for name in [
        "favicon.ico",
        "styles.css",
        "bootstrap-5.3.2.min.js",
        "jquery-3.7.1.slim.min.js",
        "favicon-32x32.png",
        "apple-touch-icon-180x180.png",
        "IMG_20240101_123456.jpg",
        "20260101.json",
        "deadbeef.js",
        "report-MyOldDoc.pdf",
        "guide-Chapter1.pdf",
        "photo-iPhone15.png",
        "notes-Part-One.txt",
        "logo-ANDROID7.png",
        "CHANGELOG-V12.md",
        "inter-latin-400-normal.woff2",
        "550e8400-e29b-41d4-a716-446655440000.png",
        "sw.js",
        "CjL4fkWS.js",
        "CjL4fkWS",
        "post-3f2a9c81.html",
        "sitemap-0.xml",
        "",
        ".",
        "\u{e9}-\u{e9}\u{e9}\u{e9}\u{e9}x.js",
    ] {
        assert!(!is_hashed(name), "{name}");
    }
}

/// Numbers of a fixed seed (xorshift).
fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

#[test]
fn few_random_hashes_are_missed() {
    let missed = |alphabet: &[u8], length: usize| {
        let mut numbers = numbers();
        let mut letter =
            || char::from(alphabet[usize::try_from(numbers.next().unwrap() % alphabet.len() as u64).unwrap()]);
        let mut name = || format!("index-{}.js", (0..length).map(|_| letter()).collect::<String>());
        (0..10_000).filter(|_| !is_hashed(&name())).count()
    };
    let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (of_base64, of_base32) = (missed(base64, 8), missed(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 8));
    let of_hexadecimal = missed(b"0123456789abcdef", 8);
    assert!(of_base64 < 1200 && of_base32 < 2800 && of_hexadecimal < 300, "{of_base64} {of_base32} {of_hexadecimal}");
}
