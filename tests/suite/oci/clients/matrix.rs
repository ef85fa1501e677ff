//! Every client pulls what every other one pushed: through one server in, through the other out, with the collector at
//! minimum age 0 in between.

use serde_json::json;

use super::daemons::{Ctr, Daemons, Docker};
use super::place::Place;
use super::programs::{Buildah, Client, Home, Podman, Skopeo};
use super::python::{Helm, Oras};
use crate::oci::image::{Image, descriptor};
use crate::support::ceph::Ceph;
use crate::support::deployment::TOKEN;

/// All clients of images, each with a home of its own.
fn clients(daemons: &std::rc::Rc<Daemons>) -> Vec<Box<dyn Client>> {
    vec![
        Box::new(Skopeo(Home::new())),
        Box::new(Podman(Home::new())),
        Box::new(Buildah(Home::new())),
        Box::new(Docker::new(daemons)),
        Box::new(Ctr::new(daemons)),
    ]
}

#[test]
#[ignore = "needs skopeo, podman, buildah, docker, containerd and python3: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn every_client_pulls_what_every_other_one_pushed_to_a_directory() {
    pushed_and_pulled(&Place::directory());
}

#[test]
#[ignore = "needs Ceph, skopeo, podman, buildah, docker, containerd and python3: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn every_client_pulls_what_every_other_one_pushed_to_a_bucket() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ceph = runtime.block_on(Ceph::start());
    pushed_and_pulled(&Place::bucket(&ceph.settings()));
    runtime.block_on(ceph.finish());
}

fn pushed_and_pulled(place: &Place) {
    let daemons = Daemons::start();
    let clients = clients(&daemons);
    let (first, second) = (place.host(0), place.host(1));
    let mut pushed = Vec::new();
    for client in &clients {
        client.log_in(&first, TOKEN).ok();
        let image = format!("team/{}:one", client.name());
        client.push(&Image::of(client.name()), &format!("{first}/{image}")).ok();
        assert_holds(place, &image, &Image::of(client.name()));
        pushed.push(image);
    }
    for client in clients.iter().filter(|client| ["skopeo", "buildah", "docker", "ctr"].contains(&client.name())) {
        let name = client.name();
        let children = vec![Image::layered("amd64", &[name, "amd"]), Image::layered("arm64", &[name, "arm"])];
        let image = format!("team/{name}:many");
        client.push(&Image::index(children, &json!({})), &format!("{first}/{image}")).ok();
        pushed.push(image);
    }
    let (oras, helm) = (Oras(Home::new()), Helm(Home::new()));
    oras.push(&first, "files/notes:1", TOKEN, &[("a.txt", b"from a"), ("b.txt", b"from b")]).ok();
    helm.push(&first, "charts", TOKEN, "0.1.0").ok();
    place.collect();
    let puller = self::clients(&daemons);
    for image in &pushed {
        let digests = place.digests(image);
        for client in &puller {
            let said = client.pull(&format!("{second}/{image}")).ok();
            let name = client.name();
            assert!(digests.iter().any(|digest| said.contains(digest)), "{name} of {image}: {digests:?} in {said}");
        }
    }
    let files = oras.pull(&second, "files/notes:1", "");
    assert_eq!(files, [("a.txt".to_owned(), b"from a".to_vec()), ("b.txt".to_owned(), b"from b".to_vec())]);
    assert!(oras.tags(&second, "charts/demo").contains("0.1.0"));
    let (chart, _) = place.manifest(1, "charts/demo:0.1.0");
    assert_eq!(chart["layers"][0]["mediaType"], "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    place.verify();
}

/// Asserts that the registry holds the layers of an image, whatever a client made of its manifest.
fn assert_holds(place: &Place, image: &str, original: &Image) {
    let layer = descriptor("", &original.blobs[1])["digest"].clone();
    assert_eq!(place.config(image)["rootfs"]["diff_ids"], json!([layer]), "{image}");
}
