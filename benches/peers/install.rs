//! The peers' programs, as Debian packages them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub path: PathBuf,
    /// Where its libraries are, if not where they usually are.
    library_path: String,
    /// The version that it says it has, and that of its package.
    pub version: String,
}

impl Program {
    /// Variables that it needs.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let set = |value: &String| ("LD_LIBRARY_PATH".to_owned(), value.clone());
        Some(&self.library_path).filter(|path| !path.is_empty()).map(set).into_iter().collect()
    }

    /// A program of the user's.
    fn given(path: &str) -> Self {
        // It has no option that prints its version.
        Self { path: path.into(), library_path: String::new(), version: format!("as given: {path}") }
    }

    /// A program that is on the path, if it is.
    fn installed(name: &str, argument: &str) -> Option<Self> {
        Command::new(name).arg(argument).stdin(Stdio::null()).output().ok()?;
        let mut program = Self::given(name);
        program.version = program.ask(argument);
        Some(program)
    }

    /// The last word of what it answers, on either output.
    fn ask(&self, argument: &str) -> String {
        let mut command = Command::new(&self.path);
        command.arg(argument).envs(self.variables()).stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        assert!(output.status.success(), "{}: {output:?}", self.path.display());
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        text.lines().next().and_then(|line| line.split([' ', '/']).next_back()).unwrap_or_default().to_owned()
    }
}

/// Those of the run.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub nginx: Program,
    pub registry: Program,
    pub angos: Option<Program>,
    /// If it is installed.
    pub caddy: Option<Program>,
}

impl Programs {
    /// Finds them, or unpacks their packages below cargo's target directory.
    pub(crate) fn install(angos: Option<&str>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/install.sh");
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let output = Command::new("sh").arg(script).arg(place).stderr(Stdio::inherit()).output().expect("sh");
        assert!(output.status.success(), "the peers could not be installed; what failed is said above");
        let text = String::from_utf8(output.stdout).expect("text");
        let find = |name: &str, argument: &str| {
            let line = text.lines().find(|line| line.split('\t').next() == Some(name)).expect("a line for each");
            let fields: Vec<&str> = line.split('\t').collect();
            let [_, path, library_path, package] = fields[..] else { panic!("{line}") };
            let (path, library_path) = (path.into(), library_path.to_owned());
            let mut program = Program { path, library_path, version: String::new() };
            program.version = format!("{} (package {package})", program.ask(argument));
            program
        };
        Self {
            nginx: find("nginx", "-v"),
            registry: find("docker-registry", "--version"),
            angos: angos.map(Program::given),
            caddy: Program::installed("caddy", "version"),
        }
    }
}
