//! Release notes: Markdown of publishers as HTML that can do no harm.

use std::sync::{Arc, LazyLock};

use maud::{Markup, PreEscaped, html};
use moka::sync::Cache;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::domain::Digest;
use crate::domain::text::Escaped;

/// Longest result, in bytes. Few characters of Markdown can nest many elements; such text is shown as it is.
const MAX_HTML: usize = 192 << 10;
/// Longest HTML of text shown as it is, in bytes.
const MAX_PLAIN: usize = 96 << 10;
/// The level of the first heading; the page has those above.
const FIRST_LEVEL: usize = 3;

/// Rendered notes, by the manifest that they are of: long ones take longer to render than the rest of their page. Weighs
/// at most 4 MiB; entries never become stale, because manifests do not change.
static RENDERED: LazyLock<Cache<Digest, Arc<str>>> = LazyLock::new(|| {
    let weigh = |_: &Digest, html: &Arc<str>| u32::try_from(256 + html.len()).unwrap_or(u32::MAX);
    Cache::builder().max_capacity(4 << 20).weigher(weigh).build()
});

/// Renders the notes of the version with this manifest, or returns them as they were rendered before.
pub(super) fn notes(manifest: Digest, text: &str) -> PreEscaped<Arc<str>> {
    PreEscaped(RENDERED.get_with(manifest, || render(text).into_string().into()))
}

/// Renders Markdown without HTML, images and links to anything but the web and mail.
fn render(text: &str) -> Markup {
    let text = text.replace("\r\n", "\n").replace('\t', "    ");
    let visible = Escaped::lines(&text).to_string();
    let mut headings = Headings::default();
    // For each open link, whether it is shown as one.
    let mut links = Vec::new();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = Parser::new_ext(&visible, options).filter_map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Some(Event::Text(raw)),
        Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
        Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
            let level = headings.next(level);
            Some(Event::Start(Tag::Heading { level, id: None, classes, attrs }))
        }
        Event::End(TagEnd::Heading(_)) => Some(Event::End(TagEnd::Heading(headings.current))),
        Event::Start(Tag::Link { dest_url, .. }) => {
            let shown = is_safe(&dest_url);
            links.push(shown);
            shown.then(|| Event::InlineHtml(opening(&dest_url).into()))
        }
        Event::End(TagEnd::Link) => links.pop().unwrap_or(false).then(|| Event::InlineHtml("</a>".into())),
        // The text in place of an image is all that is shown of it.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        event => Some(event),
    });
    let mut out = Bounded(String::with_capacity(visible.len() * 2));
    if pulldown_cmark::html::write_html_fmt(&mut out, events).is_ok() {
        return PreEscaped(out.0);
    }
    html! { div.plain { (beginning(&visible)) } }
}

/// As much of a text as has at most [`MAX_PLAIN`] bytes as HTML.
fn beginning(text: &str) -> &str {
    let mut room = MAX_PLAIN;
    let mut fits = |character: char| {
        let length = if "&<>\"".contains(character) { "&quot;".len() } else { character.len_utf8() };
        room.checked_sub(length).map(|left| room = left).is_some()
    };
    text.char_indices().find(|(_, character)| !fits(*character)).map_or(text, |(end, _)| &text[..end])
}

/// Whether a link leads to the web or to mail; a relative one would lead to nothing here.
fn is_safe(address: &str) -> bool {
    let lower = address.trim_start().to_ascii_lowercase();
    ["https://", "http://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme))
}

fn opening(address: &str) -> String {
    let link = html! { a href=(address) rel="nofollow noopener noreferrer" {} }.into_string();
    link.trim_end_matches("</a>").to_owned()
}

/// Brings headings of notes below those of the page, without gaps between levels.
#[derive(Debug)]
struct Headings {
    open: Vec<HeadingLevel>,
    current: HeadingLevel,
}

impl Default for Headings {
    fn default() -> Self {
        Self { open: Vec::new(), current: HeadingLevel::H3 }
    }
}

impl Headings {
    fn next(&mut self, level: HeadingLevel) -> HeadingLevel {
        while self.open.last().is_some_and(|open| *open >= level) {
            self.open.pop();
        }
        let depth = FIRST_LEVEL + self.open.len();
        self.open.push(level);
        self.current = HeadingLevel::try_from(depth).unwrap_or(HeadingLevel::H6);
        self.current
    }
}

/// Text that refuses to grow beyond [`MAX_HTML`].
struct Bounded(String);

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > MAX_HTML { Err(std::fmt::Error) } else { self.0.write_str(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        render(text).into_string()
    }

    #[test]
    fn what_could_act_is_shown_as_text_or_not_at_all() {
        for hostile in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "[click](javascript:alert(1))",
            "[click](JaVaScRiPt:alert(1))",
            "[click](data:text/html,x)",
            "![alt](https://tracker.example/pixel.png)",
            "<a href='https://x' onclick='y'>z</a>",
            "<style>*{display:none}</style>",
            "[x](vbscript:y)",
            "<javascript:alert(1)>",
        ] {
            let html = shown(hostile);
            for sign in ["<script", "<img", "<style", "href=\"java", "href=\"data", "href=\"vb", "<a href='"] {
                assert!(!html.to_lowercase().contains(sign), "{hostile}: {html}");
            }
        }
        assert!(shown("![alt](https://x.example/p.png)").contains("alt"));
        assert!(shown("a\u{202e}b").contains("\\u{202e}"));
        let link = shown("[\"x\"](https://e.example/?a=1&b=\"2\")");
        assert!(link.contains("rel=\"nofollow noopener noreferrer\"") && !link.contains("b=\"2"), "{link}");
    }

    #[test]
    fn headings_follow_those_of_the_page() {
        let html = shown("## A\n#### B\n# C\n###### D\n");
        for heading in ["<h3>A</h3>", "<h4>B</h4>", "<h3>C</h3>", "<h4>D</h4>"] {
            assert!(html.contains(heading), "{html}");
        }
    }

    #[test]
    fn nesting_that_explodes_is_shown_as_it_is() {
        let html = shown(&">".repeat(60_000));
        assert!(html.len() <= MAX_PLAIN + 100 && html.contains("class=\"plain\""), "{}", html.len());
    }
}
