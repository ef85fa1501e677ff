//! Whether a version has the signatures that the policy of its name requires to make it active.

use std::sync::Arc;

use jiff::Timestamp;

use super::Rejection;
use crate::domain::attestation::{Judged, Refused, Requirement, Signed, SignedRelease, Signer, Standing};
use crate::domain::{LogName, ManifestName, VersionRow};

/// The verified signatures of the versions that a change is about.
#[derive(Debug, Clone)]
pub struct Signatures {
    /// What the policy of the name requires.
    pub requirement: Arc<Requirement>,
    /// Those of the version that is to become active.
    pub candidate: Vec<Signed>,
    /// Those of the version that is active.
    pub active: Vec<Signed>,
    /// The version with the highest serial of those that became active, and its signatures.
    pub foremost: Option<(VersionRow, Vec<Signed>)>,
}

/// A version that may become active.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) standing: Standing,
    /// The version with the highest serial of those that became active, this one included.
    pub(super) foremost: Option<u64>,
}

/// What a version lacks to become active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturesMissing {
    /// Number of the version.
    pub version: u64,
    /// How many distinct keys and identities must have signed it.
    pub need: usize,
    /// Those whose signatures count.
    pub have: Vec<Signer>,
    /// Signatures that do not count.
    pub refused: Vec<Refused>,
}

impl Signatures {
    /// Judges the version that becomes active. One that was active before needs no signature, so that going back takes no
    /// key, unless it has only those of revoked keys.
    pub(super) fn admit(
        &self,
        name: &LogName,
        before: Option<&VersionRow>,
        row: &VersionRow,
        now: Timestamp,
    ) -> Result<Admitted, Rejection> {
        let name = name.governing();
        let need = self.requirement.threshold();
        let judged = self.requirement.judge(release(&name, row), &self.candidate, Some(now));
        let was_active = row.activations > 1;
        if judged.only_revoked || !(was_active || self.requirement.is_met(&judged)) {
            let Judged { signers: have, refused, .. } = judged;
            let missing = SignaturesMissing { version: row.number, need, have, refused };
            return Err(Rejection::SignaturesMissing(Box::new(missing)));
        }
        // What was active counted as signed when it became so, even if its signatures have expired since.
        let serial = |row: &VersionRow, signed: &[Signed]| {
            let judged = self.requirement.judge(release(&name, row), signed, None);
            Some((row.number, judged.serial?))
        };
        let active = before.and_then(|row| serial(row, &self.active));
        let foremost = self.foremost.as_ref().and_then(|(row, signed)| serial(row, signed));
        let highest = active.into_iter().chain(foremost).max_by_key(|(_, serial)| *serial);
        let behind = highest.filter(|(_, highest)| judged.serial.is_none_or(|serial| serial < *highest));
        if let (Some((active, active_serial)), Some(serial), false) = (behind, judged.serial, was_active) {
            return Err(Rejection::SerialBehind { version: row.number, serial, active, active_serial });
        }
        let foremost = match behind {
            Some((number, _)) => Some(number),
            None => judged.serial.map(|_| row.number),
        };
        let superseded = behind.map(|(_, serial)| serial);
        Ok(Admitted {
            standing: Standing { signers: judged.signers, need, serial: judged.serial, superseded },
            foremost,
        })
    }
}

fn release<'a>(name: &'a ManifestName, row: &'a VersionRow) -> SignedRelease<'a> {
    let label = row.summary.label.as_deref().filter(|_| !row.summary.label_cut);
    SignedRelease { name, label, manifest: row.digest() }
}
