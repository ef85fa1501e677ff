//! What all pages have in common: the frame, the style, the script, and the policy that allows nothing else.

use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY};
use axum::response::Html;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::domain::ManifestName;
use crate::http::state::BaseUrl;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

/// A finished page with its headers.
pub(in crate::http::native) type Page = (HeaderMap, Html<String>);

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// The content security policy, and the icon as an address. The policy allows the style and the script by their hashes.
static CONSTANTS: LazyLock<(HeaderValue, String)> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; form-action 'self'; base-uri \
         'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    let icon = ICON.replace("currentColor", "#0a8a60");
    (policy, format!("data:image/svg+xml;base64,{}", STANDARD.encode(icon)))
});

/// The frame of a page.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// What links begin with.
    pub(super) base: &'a BaseUrl,
    /// The title; the name of the site follows it.
    pub(super) title: &'a str,
    /// One sentence for search engines and for cards where people share the address.
    pub(super) about: &'a str,
    /// Whether search engines may list the page.
    pub(super) listed: bool,
    /// The name whose feed tells of new releases.
    pub(super) feed: Option<&'a ManifestName>,
}

impl Frame<'_> {
    /// The page with this content.
    pub(super) fn page(&self, main: &Markup) -> Page {
        let (policy, icon) = &*CONSTANTS;
        let Self { base, title, about, listed, feed } = self;
        let markup = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    title { (title) " · Larder" }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="description" content=(about);
                    meta name="color-scheme" content="light dark";
                    @if !listed { meta name="robots" content="noindex"; }
                    meta property="og:type" content="website";
                    meta property="og:site_name" content="Larder";
                    meta property="og:title" content=(title);
                    meta property="og:description" content=(about);
                    @if let Some(name) = feed {
                        link rel="alternate" type="application/atom+xml" title={"Releases of " (name)} href={(base) "/feeds/" (name) "/atom.xml"};
                    }
                    link rel="icon" type="image/svg+xml" href=(icon);
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        div.wrap {
                            a.brand href={(base) "/"} { (PreEscaped(ICON)) "Larder" }
                            nav aria-label="Site" {
                                a href={(base) "/"} { "Releases" }
                                a href={(base) "/openapi.json"} { "API" }
                            }
                        }
                    }
                    main #main .wrap tabindex="-1" { (main) }
                    footer { div.wrap { "Served by Larder " (env!("CARGO_PKG_VERSION")) ". Every file is named by its digest and never changes." } }
                    p #said .hidden role="status" {}
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if !listed {
            headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
        }
        (headers, Html(markup.into_string()))
    }
}
