//! One connection of the load generator: writes a prepared request, reads the answer, drops its body.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::AsFd;

use larder::domain::Hasher;
use rustix::net::{RecvFlags, recv};

use super::pattern::{Pattern, tail};
use super::plan::{Answer, Bodies, Body, Exchange, LOCATION, Step};

/// Header fields of an answer that are understood.
const FIELDS: usize = 64;

/// A connection, on a socket that may or may not block.
pub(crate) struct Connection<'a, S> {
    stream: S,
    pattern: &'a Pattern,
    /// The exchange that is under way.
    steps: &'a [Step],
    /// Which of its requests is.
    step: usize,
    output: Output,
    input: Input,
    /// What came of the answer's head so far, if not all.
    pending: Vec<u8>,
    location: Option<String>,
    kept: Option<Kept>,
    /// Whether bodies stay in the kernel.
    discard: bool,
    /// Bytes of bodies so far, in both directions.
    pub bytes: u64,
}

/// What is left of a request.
struct Output {
    head: Vec<u8>,
    /// Bytes that were written, of the head and the body.
    at: u64,
    /// Bytes of both.
    end: u64,
    /// The end of the body, after the pattern.
    tail: Vec<u8>,
}

enum Input {
    Nothing,
    Head,
    Body {
        left: u64,
    },
    /// A body in chunks: what is left of this one, and of the end of its line.
    Chunks {
        left: u64,
        is_last: bool,
    },
}

/// Answers, where they are wanted.
#[derive(Default)]
struct Kept {
    answers: Vec<Answer>,
    hasher: Hasher,
}

impl<'a, S: Read + Write + AsFd> Connection<'a, S> {
    pub(crate) fn new(stream: S, pattern: &'a Pattern, bodies: Bodies) -> Self {
        let output = Output { head: Vec::new(), at: 0, end: 0, tail: Vec::new() };
        let kept = (bodies == Bodies::Keep).then(Kept::default);
        let discard = bodies == Bodies::Discard;
        let (input, pending) = (Input::Nothing, Vec::new());
        let location = None;
        Self { stream, pattern, steps: &[], step: 0, output, input, pending, location, kept, discard, bytes: 0 }
    }

    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The answers that were kept.
    pub(crate) fn answers(self) -> Vec<Answer> {
        self.kept.map_or_else(Vec::new, |kept| kept.answers)
    }

    /// Begins an exchange.
    pub(crate) fn begin(&mut self, exchange: &'a Exchange) -> io::Result<()> {
        self.steps = &exchange.steps;
        self.step = 0;
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        let step = &self.steps[self.step];
        self.output.head.clear();
        match &self.location {
            Some(location) if step.head.contains(LOCATION) => {
                self.output.head.extend_from_slice(step.head.replace(LOCATION, location).as_bytes());
            }
            _ => self.output.head.extend_from_slice(step.head.as_bytes()),
        }
        let (length, tail) = match &step.body {
            Body::Empty => (0, Vec::new()),
            Body::Text(text) => (text.len() as u64, text.clone().into_bytes()),
            Body::Blob { length, seed } => (*length, tail(*length, *seed)),
        };
        self.output.at = 0;
        self.output.end = self.output.head.len() as u64 + length;
        self.output.tail = tail;
        self.input = Input::Head;
        self.write()
    }

    /// Goes on writing, as far as the socket takes it.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while self.output.at < self.output.end {
            let Output { head, at, end, tail } = &self.output;
            let head_left = usize::try_from(*at).map_or(&[][..], |at| head.get(at..).unwrap_or_default());
            let length = end - head.len() as u64;
            let body_at = at.saturating_sub(head.len() as u64);
            let tail_at = length - tail.len() as u64;
            let piece = if body_at < tail_at { self.pattern.from(body_at, length) } else { &[] };
            let tail_left = if body_at + piece.len() as u64 >= tail_at {
                &tail[usize::try_from(body_at.saturating_sub(tail_at)).expect("a short tail")..]
            } else {
                &[]
            };
            let written = if length == 0 {
                self.stream.write(head_left)
            } else {
                self.stream.write_vectored(&[head_left, piece, tail_left].map(IoSlice::new))
            };
            let written = match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => written as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.bytes += written.saturating_sub(head_left.len() as u64);
            self.output.at += written;
        }
        Ok(())
    }

    /// Reads what is there. True if that completes the exchange.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            let received = if self.discard && matches!(self.input, Input::Body { .. }) {
                recv(&self.stream, &mut *buffer, RecvFlags::TRUNC).map(|(_, length)| length).map_err(Into::into)
            } else {
                self.stream.read(buffer)
            };
            let length = match received {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, self.situation())),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.take(&buffer[..length])? {
                if self.step + 1 == self.steps.len() {
                    return Ok(true);
                }
                self.step += 1;
                self.send()?;
            } else if length < buffer.len() {
                // The socket is empty; it says so when there is more.
                return Ok(false);
            }
        }
    }

    /// Takes in bytes of an answer. True if they complete it.
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        if matches!(self.input, Input::Nothing) {
            return Err(wrong("bytes that nobody asked for"));
        }
        if matches!(self.input, Input::Head) {
            if self.pending.is_empty() {
                let Some(end) = self.head(bytes)? else {
                    self.pending.extend_from_slice(bytes);
                    return Ok(false);
                };
                bytes = &bytes[end..];
            } else {
                let mut pending = std::mem::take(&mut self.pending);
                let before = pending.len();
                pending.extend_from_slice(bytes);
                let Some(end) = self.head(&pending)? else {
                    self.pending = pending;
                    return Ok(false);
                };
                bytes = &bytes[end - before..];
            }
        }
        if matches!(self.input, Input::Chunks { .. }) {
            return self.chunks(bytes);
        }
        let Input::Body { left } = &mut self.input else { return Ok(false) };
        let Some(rest) = left.checked_sub(bytes.len() as u64) else { return Err(wrong(&self.situation())) };
        *left = rest;
        self.bytes += bytes.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.hasher.update(bytes);
        }
        if rest > 0 {
            return Ok(false);
        }
        self.complete();
        Ok(true)
    }

    /// Takes in bytes of a body in chunks (RFC 9112 section 7.1). True if they complete it.
    fn chunks(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        while let Input::Chunks { left, is_last } = &mut self.input {
            if *left == 0 {
                let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes, |end| &bytes[..=end]);
                self.pending.extend_from_slice(line);
                bytes = &bytes[line.len()..];
                match httparse::parse_chunk_size(&self.pending) {
                    Ok(httparse::Status::Complete((_, size))) => (*left, *is_last) = (size + 2, size == 0),
                    Ok(httparse::Status::Partial) => return Ok(false),
                    Err(_) => return Err(wrong("a chunk without a size")),
                }
                self.pending.clear();
            }
            let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            let data = usize::try_from(left.saturating_sub(2)).unwrap_or(usize::MAX).min(here);
            self.bytes += data as u64;
            if let Some(kept) = &mut self.kept {
                kept.hasher.update(&bytes[..data]);
            }
            *left -= here as u64;
            bytes = &bytes[here..];
            match (*left, *is_last, bytes.is_empty()) {
                (0, true, true) => self.complete(),
                (0, true, false) => return Err(wrong(&self.situation())),
                (_, _, true) => return Ok(false),
                _ => {}
            }
        }
        Ok(true)
    }

    /// The answer has come.
    fn complete(&mut self) {
        self.input = Input::Nothing;
        if let Some(kept) = &mut self.kept {
            let digest = std::mem::take(&mut kept.hasher).finish();
            kept.answers.last_mut().expect("its head came before").digest = digest.to_string();
        }
    }

    /// Parses the head, of which `None` says that not all is there, and returns where it ends.
    fn head(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let parsed = answer.parse(bytes).map_err(|error| wrong(&error.to_string()))?;
        let httparse::Status::Complete(end) = parsed else { return Ok(None) };
        let step: &Step = &self.steps[self.step];
        let status = answer.code.expect("a complete head has a status");
        if status != step.status {
            let text = String::from_utf8_lossy(bytes).into_owned();
            return Err(wrong(&format!("not the status {}:\n{}\nwas answered\n{text}", step.status, step.head)));
        }
        let field = |name: &str| answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        let text = |name| field(name).and_then(|field| std::str::from_utf8(field.value).ok());
        let bodyless = step.head.starts_with("HEAD ") || matches!(status, 204 | 304);
        let in_chunks = text("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let length = match text("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => Some(length),
            None if bodyless || in_chunks => None,
            None => return Err(wrong(&format!("an answer of unknown length to\n{}", step.head))),
        };
        if step.length.is_some_and(|wanted| length != Some(wanted)) {
            return Err(wrong(&format!("{length:?} bytes, not {:?}, were answered to\n{}", step.length, step.head)));
        }
        if step.status == 202 {
            self.location = text("location").map(relative);
        }
        if let Some(kept) = &mut self.kept {
            let headers = answer
                .headers
                .iter()
                .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned()));
            let headers: BTreeMap<_, _> = headers.collect();
            let digest = String::new();
            kept.answers.push(Answer { status, headers, head: end as u64, length: length.unwrap_or(0), digest });
        }
        self.input = match length {
            None if in_chunks && !bodyless => Input::Chunks { left: 0, is_last: false },
            length => Input::Body { left: if bodyless { 0 } else { length.unwrap_or(0) } },
        };
        Ok(Some(end))
    }

    fn situation(&self) -> String {
        let head = self.steps.get(self.step).map_or("", |step| step.head.as_str());
        match self.input {
            Input::Nothing => "nothing was asked".to_owned(),
            Input::Head => format!("no answer to\n{head}"),
            Input::Body { left } | Input::Chunks { left, .. } => {
                format!("{left} bytes are missing in, or too many of, the answer to\n{head}")
            }
        }
    }
}

/// The path and query of an address, ready for more parameters.
fn relative(location: &str) -> String {
    let path = location.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    let path = path.unwrap_or(location);
    format!("{path}{}", if path.contains('?') { '&' } else { '?' })
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
