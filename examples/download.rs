//! Downloads one file of a release, verified: `download NAME[@SELECTOR] FILE`, from the server `LARDER_SERVER`.

use std::env;
use std::sync::Arc;

use larder::client::{Client, Position, RetryPolicy};
use larder::domain::Target;
use larder::domain::manifest::release;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, target, file] = &arguments[..] else { return Err("use: download NAME[@SELECTOR] FILE".into()) };
    let client = Client::new(&env::var("LARDER_SERVER")?, None, RetryPolicy::default())?;

    let target: Target = target.parse()?;
    let manifest = release::read(&client.get_manifest(&target).await?.bytes)?;
    let found = manifest.files.iter().find(|found| found.name.as_str() == file).ok_or("there is no such file")?;

    // Resumed when the connection breaks, and an error unless the bytes have the manifest's digest. Until then the file
    // has another name.
    let part = format!("{file}.part");
    let mut out = tokio::fs::File::create(&part).await?;
    client.download(found.blob, Position::default(), &mut out, &(Arc::new(|_| {}) as _)).await?;
    out.sync_all().await?;
    Ok(tokio::fs::rename(&part, file).await?)
}
