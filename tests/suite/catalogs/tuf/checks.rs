//! What a server with rules makes of targets that do not fit the document.

use super::*;
use crate::catalogs::liars::files;
use crate::catalogs::rules::{codes, publish, strict};

type Files = Vec<(String, Vec<u8>)>;

#[track_caller]
fn refused(author: &Person, server: &ServerProcess, files: &Files) -> Vec<String> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let error = publish(author, server, &files).exits(1).error();
    codes(&error).into_iter().map(str::to_owned).collect()
}

#[test]
fn targets_have_to_state_what_the_document_states() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (strict(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key --tuf")).ok();
    author.add(&server, "v1.0", "--track stable");
    let old = files(&server);
    let old = &old.iter().find(|(name, _)| name == "metadata/2.targets.json").unwrap().1;
    // The next document, as it would be: on a copy.
    let copy = directory.path().join("copy");
    let copied = Command::new("cp").arg("-r").arg(&server.data).arg(&copy).status().unwrap();
    assert!(copied.success());
    let elsewhere = ServerProcess::on(&copy);
    author.catalog(&elsewhere, &format!("hazard {NAME}:v1.0 CVE-1=bad -k author.key")).ok();
    let next = files(&elsewhere);
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = next.clone();
        change(&mut files);
        refused(&author, &server, &files)
    };
    let at = next.iter().position(|(name, _)| name == "metadata/3.targets.json").unwrap();
    // Those of the document before: of another version, and without the hazard, on two files.
    assert_eq!(with(&|files| files[at].1.clone_from(old)), ["CATALOG_TARGETS"; 3]);
    // Another file, which the author did not sign.
    let text = String::from_utf8(next[at].1.clone()).unwrap();
    let longer = text.replace("\"length\":4", "\"length\":5");
    assert_ne!(longer, text);
    assert_eq!(with(&|files| files[at].1 = longer.clone().into_bytes()), ["CATALOG_SIGNATURES", "CATALOG_TARGETS"]);
    let renamed = text.replace("v1.0/notes", "v1.0/more");
    assert_eq!(
        with(&|files| files[at].1 = renamed.clone().into_bytes()),
        ["CATALOG_SIGNATURES", "CATALOG_TARGETS", "CATALOG_TARGETS"]
    );
    assert_eq!(with(&|files| files[at].1 = b"{}".to_vec()), ["CATALOG_TARGETS"]);
    // Of no document yet.
    assert_eq!(with(&|files| files[at].0 = "metadata/4.targets.json".into()), ["CATALOG_TARGETS"]);
    // As it is; and earlier ones may stay.
    let mut files = next.clone();
    files.push(("metadata/2.targets.json".into(), old.clone()));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    publish(&author, &server, &files).ok();
    assert_eq!(server.get(&format!("/tuf/{NAME}/metadata/3.targets.json")).unwrap().status, 200);
}
