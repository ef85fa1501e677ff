//! `larder man`

use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use serde_json::json;

use super::{Cli, CliError, Context, output};

/// Arguments of `larder man`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One page for larder and one for each command, such as larder-publish.1. The directory is made if it is not there.

Examples:
  larder man ~/.local/share/man/man1
  larder man . && man ./larder-publish.1
  larder man /usr/local/share/man/man1 --json"
)]
pub struct Args {
    /// Directory to write to
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let directory = args.directory.as_path();
    let failed = |error| CliError::io(format_args!("write manual pages to {}", directory.display()), &error);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    write(&command, directory, &mut pages).map_err(failed)?;
    if context.json {
        return output::json(&json!({ "pages": pages }));
    }
    pages.iter().try_for_each(|page| output::line(page.display()))
}

/// Writes the page of a command, then those of its subcommands.
fn write(command: &Command, directory: &Path, pages: &mut Vec<PathBuf>) -> io::Result<()> {
    let man = Man::new(command.clone()).manual("Larder").source(concat!("larder ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    page.extend_from_slice(sections(&after.map(ToString::to_string).unwrap_or_default()).as_bytes());
    let path = directory.join(man.get_filename());
    std::fs::write(&path, page)?;
    pages.push(path);
    command.get_subcommands().try_for_each(|command| write(command, directory, pages))
}

/// What follows the options in a help text, as sections of a page: paragraphs, and blocks under a heading, whose lines
/// stay as they are.
fn sections(text: &str) -> String {
    let mut page = String::new();
    for block in text.split("\n\n") {
        let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
        let heading = first.strip_suffix(':').filter(|_| rest.starts_with(' '));
        let (before, lines, after) = match heading {
            Some(heading) => (format!(".SH {}\n.nf\n", heading.to_uppercase()), rest, ".fi\n"),
            None if page.is_empty() => (".SH NOTES\n".to_owned(), block, ""),
            None if block.starts_with('{') => (".PP\n.nf\n".to_owned(), block, ".fi\n"),
            None => (".PP\n".to_owned(), block, ""),
        };
        page += &before;
        for line in lines.lines() {
            page += &escaped(line.strip_prefix("  ").unwrap_or(line));
            page.push('\n');
        }
        page += after;
    }
    page
}

/// A line of text for `roff`: never a request, and with hyphens that can be copied.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_sections_and_keep_their_lines() {
        let text = "One line,\ntwo.\n\nExamples:\n  larder ls \\\n    -l\n  .x";
        let page = ".SH NOTES\nOne line,\ntwo.\n.SH EXAMPLES\n.nf\nlarder ls \\e\n  \\-l\n\\&.x\n.fi\n";
        assert_eq!(sections(text), page);
    }
}
