//! Keys at the edges of their grammar.

use larder::store::MAX_KEY;

use crate::support::store::*;

/// The longest segment that a key may have.
const SEGMENT: usize = 250;

contract!(keys_at_the_edges_of_their_grammar_name_objects, |store| async {
    let longest = format!("{}/{}", "x".repeat(SEGMENT), "y".repeat(MAX_KEY - SEGMENT - 1));
    let deepest = vec!["d"; MAX_KEY / 2].join("/");
    let marks = "AZaz09._-!@/@/!/-/_/..a/.a/a../...";
    let mut edges: Vec<&str> = vec!["0", "-", "_", "!", "@", "...", ".x", "..x", "x.", "x..", "x", marks];
    edges.extend([longest.as_str(), deepest.as_str()]);
    for name in &edges {
        put(&store, name, (*name).to_owned()).await;
    }
    for name in &edges {
        assert_eq!(read(&store, name).await.unwrap(), *name);
    }
    edges.sort_unstable();
    assert_eq!(all_keys(&store).await, edges);
});

contract!(a_key_that_is_a_directory_of_others_is_absent, |store| async {
    put(&store, "a/b/c", "bytes").await;
    for directory in ["a", "a/b"] {
        assert_absent(&store, directory).await;
        assert_eq!(store.copy(&key(directory), &key("copied")).await.unwrap(), None);
        store.delete(&key(directory)).await.unwrap();
    }
    assert_eq!(all_keys(&store).await, ["a/b/c"]);
    assert_eq!(read(&store, "a/b/c").await.unwrap(), "bytes");
});

contract!(a_key_below_an_object_is_absent, |store| async {
    put(&store, "a", "bytes").await;
    assert_absent(&store, "a/b").await;
    assert_eq!(store.copy(&key("a/b"), &key("copied")).await.unwrap(), None);
    assert_eq!(all_keys(&store).await, ["a"]);
});
