//! Arguments that choose a file by platform, as the server's platform links do.

use serde_json::json;

use super::{CliError, Exit, output};
use crate::domain::Target;
use crate::domain::manifest::Artifact;
use crate::domain::platform::{Choice, Stated, Traits, choose};
use crate::domain::text::Escaped;

/// Most files that an error lists.
const MAX_LISTED: usize = 20;

/// The platform that a file is wanted for.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "Platform", multiple = true)]
#[command(next_help_heading = "Platform")]
pub(super) struct PlatformArgs {
    /// The file for this operating system, such as linux, macos or windows
    #[arg(long, value_name = "OS")]
    os: Option<String>,

    /// The file for this architecture, such as amd64 or arm64
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,

    /// The file for this C library: gnu, musl or static
    #[arg(long, value_name = "LIBC")]
    libc: Option<String>,

    /// The file of this format, such as tar.gz or deb
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

impl PlatformArgs {
    /// Whether there is any argument.
    pub(super) fn is_given(&self) -> bool {
        self.os.is_some() || self.arch.is_some() || self.libc.is_some() || self.format.is_some()
    }

    /// The one file that suits; `None` without arguments. Says what was taken instead of what was asked for.
    pub(super) fn choose<'a>(&self, target: &Target, files: &'a [Artifact]) -> Result<Option<&'a Artifact>, CliError> {
        let Self { os, arch, libc, format } = self.clone();
        let stated = Stated { os, arch, libc, format, ..Stated::default() };
        if !self.is_given() {
            return Ok(None);
        }
        let wanted = Traits::wanted(&stated);
        let Choice { files: chosen, fallback } = choose(files, &wanted);
        match *chosen.as_slice() {
            [file] => {
                if let Some(fallback) = fallback {
                    let name = Escaped::new(file.name.as_str());
                    output::note(format_args!("{target} has no file {wanted}; taking {name} ({fallback})"));
                }
                Ok(Some(file))
            }
            [] => {
                let known =
                    files.iter().filter(|file| Traits::of(file).is_some_and(|traits| traits.platform.is_some()));
                let detail = format!("{target} has no file {wanted}. For platforms it has: {}.", list(known));
                Err(CliError::new(Exit::NotFound, "FILE_UNKNOWN", detail))
            }
            _ => {
                let detail = format!(
                    "{target} has several files {wanted}: {}. Add --arch, --libc or --format, or name one of them.",
                    list(chosen.iter().copied())
                );
                let names: Vec<_> = chosen.iter().map(|file| file.name.as_str()).collect();
                Err(CliError::new(Exit::Usage, "USAGE", detail).with("files", json!(names)))
            }
        }
    }
}

fn list<'a>(files: impl Iterator<Item = &'a Artifact> + Clone) -> String {
    let names: Vec<_> =
        files.clone().take(MAX_LISTED).map(|file| Escaped::new(file.name.as_str()).to_string()).collect();
    let more = files.skip(MAX_LISTED).count();
    match (names.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}
