//! Log lines without characters that hide or reorder text, wherever their parts come from.

use std::io::{self, Write};

use crate::domain::text::{self, Escaped};

/// A writer for whole log lines that escapes what hides or reorders text. ASCII control characters are up to the
/// formatter, which escapes those in values.
#[derive(Debug)]
pub struct EscapingWriter<W> {
    inner: W,
    json: bool,
}

impl<W: Write> EscapingWriter<W> {
    /// Escapes lines of plain text.
    pub fn text(inner: W) -> Self {
        Self { inner, json: false }
    }

    /// Escapes lines that are JSON, whose values stay the same.
    pub fn json(inner: W) -> Self {
        Self { inner, json: true }
    }
}

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.is_ascii() && !line.contains(&0x7f) {
            return self.inner.write(line);
        }
        let shown = String::from_utf8_lossy(line);
        if self.json {
            self.inner.write_all(text::escape_json(&shown).as_bytes())?;
        } else {
            self.inner.write_all(Escaped::beyond_ascii(&shown).to_string().as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool) -> String {
        let lines = Lines::default();
        let (sink, layer) = (lines.clone(), tracing_subscriber::fmt::layer().with_ansi(false));
        let event = || tracing::info!(reason = "x\u{202e}y", "a\u{200b}b\u{1b}[31m می\u{200c}خواهم");
        if json {
            let layer = layer.json().with_writer(move || EscapingWriter::json(sink.clone()));
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), event);
        } else {
            let layer = layer.with_writer(move || EscapingWriter::text(sink.clone()));
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), event);
        }
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_log_line_hides_nothing() {
        let line = logged(false);
        assert!(line.contains("a\\u{200b}b") && line.contains("x\\u{202e}y"), "{line}");
        assert!(line.contains("می\u{200c}خواهم") && !line.contains('\u{1b}'), "{line}");
        let line = logged(true);
        assert!(line.contains("x\\u202ey") && !line.contains('\u{202e}'), "{line}");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["fields"]["reason"], "x\u{202e}y");
    }
}
