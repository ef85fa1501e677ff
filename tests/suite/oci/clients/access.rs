//! Who may pull and push, as clients tell their users; rollback, listing and deleting.

use super::daemons::{Ctr, Daemons, Docker};
use super::place::Place;
use super::programs::{Buildah, Client, Home, Podman, Skopeo};
use super::python::{Helm, Oras};
use crate::oci::image::Image;
use crate::support::deployment::TOKEN;

/// Anybody pulls what is public and nobody pushes; a wrong login is refused; who logged in pushes, and pulls what is
/// private.
fn assert_access(place: &Place, client: impl Fn() -> Box<dyn Client>) {
    let (host, nobody, logged_in) = (place.host(0), client(), client());
    let name = nobody.name();
    let [public, private] = ["team", "private"].map(|top| format!("{host}/{top}/{name}:1"));
    nobody.push(&Image::of("refused"), &public).fails();
    nobody.log_in(&host, "larder_wrong").fails();
    let logged_in_with = logged_in.log_in(&host, TOKEN).ok();
    assert!(!logged_in_with.contains(TOKEN), "{logged_in_with}");
    // The second time all layers are there, and the manifest is the first thing that is sent.
    for image in [&public, &format!("{host}/team/other-{name}:1"), &private] {
        logged_in.push(&Image::of(name), image).ok();
        logged_in.pull(image).ok();
    }
    let nobody = client();
    nobody.pull(&public).ok();
    nobody.pull(&private).fails();
    nobody.push(&Image::of("refused again"), &public).fails();
}

#[test]
#[ignore = "needs skopeo, podman and buildah: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn what_is_built_on_containers_image_logs_in_pulls_without_and_is_refused() {
    let place = Place::directory();
    assert_access(&place, || Box::new(Skopeo(Home::new())));
    assert_access(&place, || Box::new(Podman(Home::new())));
    assert_access(&place, || Box::new(Buildah(Home::new())));
}

#[test]
#[ignore = "needs docker and containerd: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn docker_and_containerd_log_in_pull_without_and_are_refused() {
    let place = Place::directory();
    let daemons = Daemons::start();
    assert_access(&place, || Box::new(Docker::new(&daemons)));
    assert_access(&place, || Box::new(Ctr::new(&daemons)));
}

#[test]
#[ignore = "needs python3: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn oras_and_helm_are_refused_without_a_token() {
    let place = Place::directory();
    let host = place.host(0);
    let (oras, helm) = (Oras(Home::new()), Helm(Home::new()));
    for wrong in ["", "larder_wrong"] {
        oras.push(&host, "files/notes:1", wrong, &[("a.txt", b"a")]).fails();
        helm.push(&host, "charts", wrong, "0.1.0").fails();
    }
    oras.push(&host, "private/notes:1", TOKEN, &[("a.txt", b"a")]).ok();
    oras.pull_fails(&host, "private/notes:1", "");
    assert_eq!(oras.pull(&host, "private/notes:1", TOKEN).len(), 1);
}

/// Waits until no server answers from what it knew before (`heads.max_staleness`).
fn until_others_know() {
    std::thread::sleep(std::time::Duration::from_millis(1500));
}

#[test]
#[ignore = "needs skopeo, docker and containerd: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn a_tag_is_moved_rolled_back_listed_and_deleted() {
    let place = Place::directory();
    let (first, second) = (place.host(0), place.host(1));
    let daemons = Daemons::start();
    let (skopeo, docker) = (Skopeo(Home::new()), Docker::new(&daemons));
    skopeo.log_in(&first, TOKEN).ok();
    let (old, new) = (Image::of("old"), Image::of("new"));
    // It compresses layers, so what it pushes is not what it was given.
    let [old_digest, new_digest] = [&old, &new].map(|image| {
        skopeo.push(image, &format!("{first}/team/app:latest")).ok();
        // The other server may answer from what it knew before.
        place.manifest(0, "team/app:latest").1
    });
    skopeo.push(&new, &format!("{first}/team/app:kept")).ok();
    let kept_digest = place.manifest(1, "team/app:kept").1;
    let latest = format!("{second}/team/app:latest");
    assert!(docker.pull(&latest).ok().contains(&new_digest));
    place.client("rollback team/app/latest").ok();
    until_others_know();
    for client in [&skopeo as &dyn Client, &docker] {
        assert!(client.pull(&latest).ok().contains(&old_digest), "{}", client.name());
    }
    let list = skopeo.0.skopeo(&format!("list-tags --tls-verify=false docker://{second}/team/app")).ok();
    assert!(list.contains("\"kept\",\n        \"latest\""), "{list}");
    // It deletes what the tag leads to, and so every tag of it.
    let (from, to) = (format!("{first}/team/app:latest"), format!("{first}/team/app:also"));
    let copy = "copy --src-tls-verify=false --dest-tls-verify=false";
    skopeo.0.skopeo(&format!("{copy} docker://{from} docker://{to}")).ok();
    skopeo.0.skopeo(&format!("delete --tls-verify=false docker://{first}/team/app:latest")).ok();
    until_others_know();
    for tag in ["latest", "also"] {
        skopeo.pull(&format!("{second}/team/app:{tag}")).fails();
    }
    place.collect();
    assert!(skopeo.pull(&format!("{second}/team/app:kept")).ok().contains(&kept_digest));
    // What was deleted can be pushed again, though clients remember to have pushed it.
    skopeo.push(&old, &format!("{first}/team/app:latest")).ok();
    assert!(docker.pull(&latest).ok().contains(&place.manifest(1, "team/app:latest").1));
    let history = place.client("versions team/app/latest --json").ok().json();
    assert_eq!(history["versions"].as_array().unwrap().len(), 3, "{history:#}");
    place.verify();
}

#[test]
#[ignore = "needs python3 and curl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn a_file_that_oras_pushed_is_downloaded_by_name_and_a_release_is_pulled_by_oras() {
    let place = Place::directory();
    let (first, second) = (place.host(0), place.host(1));
    let oras = Oras(Home::new());
    oras.push(&first, "files/notes:1", TOKEN, &[("a.txt", b"from a"), ("b.txt", b"from b")]).ok();
    std::fs::remove_file(oras.0.path().join("b.txt")).unwrap();
    oras.0.run("curl", &format!("-fsSLO http://{second}/refs/files/notes/1/b.txt")).ok();
    assert_eq!(std::fs::read(oras.0.path().join("b.txt")).unwrap(), b"from b");
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("tool.tar.gz", "a tool"), ("README", "read me")] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    place.client("publish tools/it/v1 .").within(&directory).ok();
    let files = oras.pull(&second, "tools/it:v1", "");
    let expected = [("README".to_owned(), b"read me".to_vec()), ("tool.tar.gz".to_owned(), b"a tool".to_vec())];
    assert_eq!(files, expected);
}
