//! The memory of a collector in few bits.

use super::{Collector, Heal, Phase};
use crate::model::bits::Bits;
use crate::model::setup::DIGESTS;

impl Collector {
    pub fn pack(&self) -> u128 {
        let mut bits = Bits::default();
        bits.put(self.runs, 2);
        bits.put(self.phase as u8, 3);
        match self.phase {
            Phase::Idle => {}
            Phase::Mark | Phase::Expire | Phase::Plan | Phase::Condemn => self.pack_before_sweep(&mut bits),
            Phase::Sweep => self.pack_sweep(&mut bits),
            Phase::Tend => self.pack_ended(&mut bits),
        }
        bits.packed()
    }

    fn pack_ended(&self, bits: &mut Bits) {
        self.ended.iter().for_each(|numbers| bits.put(*numbers, 3));
    }

    fn pack_before_sweep(&self, bits: &mut Bits) {
        self.pack_ended(bits);
        bits.flag(self.second);
        bits.put(self.at, 2);
        bits.put(self.live, 4);
        for manifests in [self.complete, self.prepared, self.read, self.absent, self.half_read] {
            bits.put(manifests, 4);
        }
        for generation in &self.seen {
            bits.put(*generation, 4);
        }
        bits.put(self.due.0, 3);
        self.due.1.pack(bits);
        for digest in 0..DIGESTS {
            bits.put(self.fresh[digest], 6);
            bits.put(self.doomed[digest], 6);
        }
    }

    fn pack_sweep(&self, bits: &mut Bits) {
        self.pack_ended(bits);
        bits.put(self.live, 4);
        for doomed in &self.doomed {
            bits.put(*doomed, 6);
        }
        let (heal, bytes, to) = match self.heal {
            Heal::Look => (0, 0, 0),
            Heal::Copy { to } => (1, 0, to),
            Heal::Paste { to, bytes } => (2, bytes as u8, to),
            Heal::Delete => (3, 0, 0),
        };
        bits.put(heal, 2);
        bits.put(bytes, 1);
        bits.put(to, 3);
    }
}
