//! What is done to the name.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;

use super::super::manifest;
use super::builds::Build;
use super::oracle::{Standing, State};
use super::world::{NAME, World};
use crate::schedule::random::Random;
use crate::support::server::{Answer, send};

/// Minutes that pass at once. Two or three of them are longer than files are promised for.
const JUMPS: [u64; 3] = [10, 25, 50];

#[derive(Debug, Clone)]
enum Step {
    Publish(Arc<Build>, bool),
    /// Other bytes under a name that clients keep for a year.
    Change(Arc<Build>, String),
    Promote(u64),
    Retire(u64),
    Withdraw,
    Delete,
    Pass(u64),
    Collect,
}

impl Step {
    /// One that is possible.
    fn any(state: &State, random: &mut Random) -> Self {
        let number = state.versions.len() as u64 + 1;
        let build = Build::any(number, random);
        let (staged, archived): (Vec<u64>, Vec<u64>) =
            (state.of(Standing::Staged).collect(), state.of(Standing::Archived).collect());
        let idle: Vec<u64> = staged.iter().chain(&archived).copied().collect();
        let roll = random.below(100);
        match (roll, state.active()) {
            (0..10, _) => Self::Publish(build, false),
            (10..28, _) if !archived.is_empty() => Self::Promote(random.pick(&archived)),
            (28..38, _) if !staged.is_empty() => Self::Promote(random.pick(&staged)),
            (38..45, _) if !idle.is_empty() => Self::Retire(random.pick(&idle)),
            (45..48, Some(_)) => Self::Withdraw,
            (48..50, Some(_)) => Self::Delete,
            (50..60, _) => Self::Pass(60 * random.pick(&JUMPS)),
            (60..72, _) => Self::Collect,
            (72..76, Some(active)) => {
                let build = Arc::clone(&state.versions[&active].build);
                let path = random.pick(&build.immutable()).to_owned();
                Self::Change(build, path)
            }
            _ => Self::Publish(build, true),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Publish(build, activate) => {
                let verb = if *activate { "publish" } else { "stage" };
                let names: Vec<_> = build.files.iter().map(|(name, _)| name.trim_start_matches("assets/")).collect();
                format!("{verb} {} with {}", build.label, names.join(" "))
            }
            Self::Change(build, path) => format!("change {path} of {}", build.label),
            other => format!("{other:?}"),
        }
    }

    /// The name after this.
    fn apply(&self, before: &State) -> State {
        let mut state = before.clone();
        match self {
            Self::Publish(build, activate) => {
                let number = state.versions.len() as u64 + 1;
                state.stage(number, build);
                if *activate {
                    state.promote(number);
                }
            }
            Self::Promote(number) => state.promote(*number),
            Self::Retire(number) => state.retire(*number),
            Self::Withdraw => state.withdraw(),
            Self::Delete => state.delete(),
            Self::Pass(_) | Self::Change(..) => {}
            Self::Collect => state.collect(),
        }
        state
    }

    /// Does it by one of the servers.
    async fn run(&self, world: &World, server: usize) -> Result<(), String> {
        let request = |method, path: String| send(world.servers[server].0.request(method, &path));
        let answer = match self {
            Self::Publish(build, activate) => {
                let query = if *activate { "" } else { "?activate=false" };
                put(world, server, query, &build.files, build.settings()).await
            }
            Self::Change(build, path) => {
                put(world, server, "", &build.with_changed_script(path), build.settings()).await
            }
            Self::Promote(number) => request(Method::POST, format!("/versions/{NAME}@{number}/promote")).await,
            Self::Retire(number) => request(Method::DELETE, format!("/manifests/{NAME}@{number}")).await,
            Self::Delete => request(Method::DELETE, format!("/manifests/{NAME}")).await,
            Self::Withdraw => {
                world.withdraw().await;
                return Ok(());
            }
            Self::Collect => return world.collect().await,
            Self::Pass(_) => return Ok(()),
        };
        let is_right = match self {
            Self::Change(..) => answer.status == 409 && answer.json()["code"] == "IMMUTABLE_CHANGED",
            _ => answer.status.is_success(),
        };
        if is_right { Ok(()) } else { Err(format!("{} is answered {}: {}", self.text(), answer.status, answer.text())) }
    }
}

async fn put(world: &World, server: usize, query: &str, files: &[(String, String)], settings: Value) -> Answer {
    let server = &world.servers[server].0;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    for (_, text) in &files {
        server.put_blob(text.as_bytes()).await;
    }
    server.put(&format!("/manifests/{NAME}{query}"), manifest(&files, settings).to_string()).await
}

/// One step, with questions during it and after it.
pub async fn step(world: &mut World) -> Result<(), String> {
    // So that no two changes are at the same moment.
    world.pass(1);
    let before = world.state.clone();
    let mut random = world.random.clone();
    let (step, server) = (Step::any(&before, &mut random), random.below(world.servers.len()));
    world.random = random;
    world.trace.push(format!("{}, server {server}", step.text()));
    if let Step::Publish(build, _) = &step {
        world.learn(build);
    }
    if let Step::Pass(seconds) = step {
        world.pass(seconds);
    }
    // What passes by itself has passed before anything is asked.
    let before = before.at(world.state.now);
    let after = step.apply(&before);
    let during = [world.questions(6), world.promised(&before)].concat();
    let (done, asked) = tokio::join!(step.run(world, server), world.ask(during));
    done?;
    let is_own = !matches!(step, Step::Withdraw | Step::Collect | Step::Pass(_) | Step::Change(..));
    world.judge(asked?, &[before, after.clone()])?;
    world.changed(after.clone(), is_own.then_some(server));
    // The page of what is there now, and all that pages which are open may load.
    let visits = world.visits();
    world.check(visits, std::slice::from_ref(&after)).await?;
    let settled = [world.questions(10), world.promised(&after)].concat();
    world.check(settled, &[after]).await
}
