use super::*;
use crate::domain::word::Word;

#[test]
fn words_for_states_are_kept_and_mean_doubt_when_unknown() {
    for (state, text) in [
        (State::Prepared, "prepared"),
        (State::Ready, "ready"),
        (State::Active, "active"),
        (State::Archived, "archived"),
        (State::Retired, "retired"),
        (State::Aborted, "aborted"),
        (State::Unknown(Word::new("quarantined").unwrap()), "quarantined"),
    ] {
        assert_eq!((state.as_str(), text.parse()), (text, Ok(state)));
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str(&json).ok()), (format!("{text:?}").as_str(), Some(state)));
    }
    let unknown: State = "quarantined".parse().unwrap();
    assert!(unknown.is_root() && !unknown.is_complete());
    assert!(serde_json::from_str::<State>("\"Not A Word\"").is_err());
}

#[test]
fn a_row_shows_only_what_is_so() {
    let manifest = Descriptor { digest: Digest::of(b"m"), size: 1 };
    let text = format!(
        r#"{{"number":1,"state":"prepared","generation":2,"manifest":{{"digest":"{}","size":1}},"kind":"files","files":0,"total_bytes":0,"created_by":"token:ci","prepared_at":"2027-01-15T08:00:00Z"}}"#,
        manifest.digest
    );
    let row: VersionRow = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&row).unwrap(), text);
    let mut fresh = VersionRow::prepared(1, row.summary.clone(), row.created_by.clone(), row.prepared_at);
    fresh.generation = 2;
    assert_eq!(fresh, row);
}

#[test]
fn a_version_text_that_was_cut_says_so() {
    let summary = |length: usize| {
        let text = serde_json::json!({"version": "ä".repeat(length), "artifacts": [
            {"name": "a", "blob": Digest::of(b""), "size": 0}
        ]});
        let bytes = serde_json::to_vec(&text).unwrap();
        let descriptor = Descriptor { digest: Digest::of(&bytes), size: bytes.len() as u64 };
        Summary::of(&release::read(&bytes).unwrap(), descriptor)
    };
    for (length, cut) in [(MAX_LABEL, false), (MAX_LABEL + 1, true)] {
        let summary = summary(length);
        assert_eq!(summary.label.unwrap().chars().count(), MAX_LABEL);
        assert_eq!(summary.label_cut, cut);
    }
}
