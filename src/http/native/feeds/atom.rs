//! `atom.xml`: the newest releases as a feed (RFC 4287).
//!
//! An entry is named by the number of its version, by a `tag:` URI (RFC 4151) that never changes: a rollback makes no
//! entry new. Its date is that of its publication.

use std::fmt::Write as _;

use axum::response::Response;
use jiff::Timestamp;

use super::Asked;
use super::notes::Reader;
use crate::domain::VersionRow;
use crate::domain::text::Escaped;
use crate::http::error::ApiError;
use crate::service::versions::releases::{ReleasePage, ReleaseQuery, release_label};

/// Most entries of a feed.
const MAX_ENTRIES: usize = 50;
/// Most bytes of notes in a feed; what comes after them is left out.
const MAX_NOTES: usize = 256 << 10;

pub(super) async fn feed(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let name = &asked.target.name;
    let query = ReleaseQuery {
        before: asked.before(),
        after: None,
        limit: MAX_ENTRIES,
        with_yanked: false,
        fresh: asked.fresh,
    };
    let ReleasePage { head, rows, .. } = asked.state.versions.releases(name, query).await?;
    let origin = asked.origin();
    let updated = rows.iter().map(published).max().unwrap_or(head.time);
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n");
    let feed = format!("{origin}/feeds/{name}/atom.xml");
    let _ = write!(
        xml,
        "<id>{feed}</id>\n<title>{name}</title>\n<updated>{}</updated>\n<author><name>{name}</name></author>\n\
         <link rel=\"self\" type=\"application/atom+xml\" href=\"{feed}\"/>\n\
         <link rel=\"alternate\" type=\"text/html\" href=\"{origin}/versions/{name}\"/>\n",
        seconds(updated),
        feed = text(&feed),
        origin = text(&origin),
    );
    let mut reader = Reader::new(asked.state);
    for row in &rows {
        let notes = if reader.read < MAX_NOTES { reader.notes(row).await? } else { None };
        entry(&mut xml, &origin, name.as_str(), row, notes.as_deref());
    }
    xml.push_str("</feed>\n");
    let newest = rows.first().map(|row| row.number);
    let media_type = "application/atom+xml; charset=utf-8";
    asked.answer(&head, newest, ("atom.xml", media_type), xml.into(), true)
}

fn entry(xml: &mut String, origin: &str, name: &str, row: &VersionRow, notes: Option<&str>) {
    let (number, published) = (row.number, published(row));
    let day = published.strftime("%Y-%m-%d");
    let label = release_label(row, true).unwrap_or_default();
    let _ = write!(
        xml,
        "<entry>\n<id>tag:{},{day}:{name}@{number}</id>\n<title>{}</title>\n<updated>{at}</updated>\n\
         <published>{at}</published>\n<link rel=\"alternate\" href=\"{}/versions/{name}@{number}\"/>\n",
        text(authority(origin)),
        text(label),
        text(origin),
        at = seconds(published),
    );
    let files = match row.summary.files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    let size = row.summary.total_bytes;
    let _ = writeln!(xml, "<summary>{name}@{number}: {files}, {size} bytes</summary>");
    if let Some(notes) = notes {
        let _ = writeln!(xml, "<content type=\"text\">{}</content>", text(notes));
    }
    xml.push_str("</entry>\n");
}

fn published(row: &VersionRow) -> Timestamp {
    row.published_at.unwrap_or(row.prepared_at)
}

/// The host of an address, which names whoever assigns the ids of entries.
fn authority(origin: &str) -> &str {
    let host = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let has_port = |(_, port): &(&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(has_port).map_or(host, |(host, _)| host)
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Text of others as XML: without characters that hide or reorder text, some of which XML forbids.
fn text(text: &str) -> String {
    let plain = text.replace("\r\n", "\n").replace('\t', "    ");
    let mut xml = String::with_capacity(plain.len());
    for c in Escaped::lines(&plain).to_string().chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_safe_in_xml() {
        assert_eq!(
            text("a < b & \"c\"\r\n\td\u{202e}\u{1}\u{fffe}"),
            "a &lt; b &amp; &quot;c&quot;\n    d\\u{202e}\\u{1}\\u{fffe}"
        );
    }

    #[test]
    fn ids_have_the_host_without_its_port() {
        for (origin, host) in [
            ("https://example.org", "example.org"),
            ("https://example.org:8443/larder", "example.org"),
            ("http://[::1]:80", "[::1]"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(authority(origin), host);
        }
    }
}
