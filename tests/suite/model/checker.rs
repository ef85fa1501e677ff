//! The model as `stateright` wants it: who may move, and where that leads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use stateright::{Model, Property};

use super::properties::{one_run_cleans, properties};
use super::setup::Setup;
use super::world::World;

/// One step of one actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Publisher {
        who: usize,
        pick: u8,
    },
    /// Its process dies; its client goes on with the next operation.
    PublisherCrash {
        who: usize,
    },
    Collector {
        who: usize,
        pick: u8,
    },
    /// It dies; it may be started again.
    CollectorCrash {
        who: usize,
    },
}

/// The protocol in one setup.
pub struct Protocol {
    pub setup: Setup,
    /// Whether one undisturbed run cleans a store up, which does not depend on what the actors are at.
    cleanable: Mutex<BTreeMap<(u128, u64), bool>>,
    /// Properties that were found not to hold.
    broken: AtomicU16,
}

impl Protocol {
    pub fn new(setup: Setup) -> Self {
        Self { setup, cleanable: Mutex::default(), broken: AtomicU16::new(0) }
    }

    /// Whether a property holds, or was found not to before: the checker goes on for a while and would remember the last
    /// state in which it does not, but the first is the nearest.
    pub fn first(&self, property: u8, holds: bool) -> bool {
        holds || self.broken.fetch_or(1 << property, Ordering::Relaxed) & 1 << property != 0
    }

    pub fn becomes_clean(&self, world: &World) -> bool {
        let key = world.store.pack();
        let mut known = self.cleanable.lock().expect("nobody panics with it");
        *known.entry(key).or_insert_with(|| one_run_cleans(&self.setup, &world.store))
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::of(&self.setup)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (who, publisher) in world.publishers.iter().enumerate() {
            actions.extend(publisher.choices().map(|pick| Action::Publisher { who, pick }));
            if publisher.may_crash(&self.setup, who) {
                actions.push(Action::PublisherCrash { who });
            }
        }
        let mut choices = Vec::new();
        for (who, collector) in world.collectors.iter().enumerate() {
            choices.clear();
            collector.choices(&self.setup, &world.store, &mut choices);
            actions.extend(choices.iter().map(|pick| Action::Collector { who, pick: *pick }));
            if collector.may_crash() {
                actions.push(Action::CollectorCrash { who });
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = *world;
        match action {
            Action::Publisher { who, pick } => {
                world.publishers[who] = world.publishers[who].step(&self.setup, who, &mut world.store, pick);
            }
            Action::PublisherCrash { who } => {
                let next = world.publishers[who].op + 1;
                world.publishers[who] = super::publisher::Publisher::start(&self.setup, who, next);
            }
            Action::Collector { who, pick } => {
                world.collectors[who] = world.collectors[who].step(&self.setup, &mut world.store, pick);
            }
            Action::CollectorCrash { who } => world.collectors[who] = world.collectors[who].crashed(),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties(&self.setup)
    }
}

/// A way through the model.
pub type Path = stateright::Path<World, Action>;

pub fn steps(path: &Path) -> usize {
    path.clone().into_actions().len()
}

/// A way through the model, for people to follow.
pub fn trace(path: &Path) -> String {
    let describe = |(world, action): (World, Option<Action>)| {
        let store = format!(
            "{:?}; {:?}; entries {:06x}",
            world.store.blobs,
            world.store.names.map(|name| name.head),
            world.store.entries.pack()
        );
        let actors = match action {
            Some(Action::Publisher { who, .. } | Action::PublisherCrash { who }) => {
                let publisher = world.publishers[who];
                format!("{:?} {:?} at digest {}", publisher.stage, publisher.call, publisher.digest)
            }
            Some(Action::Collector { who, .. } | Action::CollectorCrash { who }) => {
                let collector = world.collectors[who];
                format!("{:?} {:?} live {:03b}", collector.phase, collector.heal, collector.live)
            }
            None => "the end".to_owned(),
        };
        format!("  {store}\n{action:?}: {actors}\n")
    };
    path.clone().into_vec().into_iter().map(describe).collect()
}
