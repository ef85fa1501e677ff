// Publishes what the pages show: an ordinary name with a history, hostile texts, and large things.
import { createHash } from "node:crypto";

const { LARDER_URL: url, LARDER_TOKEN: token } = process.env;
const digest = (bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

export async function request(method, path, body, type = "application/octet-stream") {
  const response = await fetch(url + path, {
    method,
    body,
    headers: { authorization: `Bearer ${token}`, "content-type": type },
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

// Files are [name, content, more members of the manifest's entry].
export async function publish(name, files, more = {}, query = "") {
  const contents = new Map(files.map(([, content]) => [digest(content), content]));
  for (const [blob, content] of contents) await request("PUT", `/blobs/${blob}`, content);
  const artifacts = files.map(([file, content, members]) => ({
    name: file,
    blob: digest(content),
    size: Buffer.byteLength(content),
    ...members,
  }));
  return (await request("PUT", `/manifests/${name}${query}`, JSON.stringify({ artifacts, ...more }))).json();
}

const NOTES = `## Faster starts

Startup takes **40 % less time** on cold disks. Thanks to everybody who sent traces.

- \`larder\` reads its index in one request
- Archives are smaller: see the [format](https://example.org/format)
- A crash with names of more than 200 characters is fixed

### Upgrading

\`\`\`sh
tool migrate --from 1.3
\`\`\`

| Setting | Before | Now |
|---|---|---|
| \`cache\` | 64 MiB | 128 MiB |
`;

export const HOSTILE_REASON = `</p><script>document.title="owned"</script>${"r".repeat(300)}`;

const HOSTILE = `# <script>document.title = "owned"</script>

<img src=x onerror="document.title='owned'"> [click](javascript:document.title='owned') ![](https://tracker.invalid/x)

<style>body{display:none}</style> ${"long".repeat(2000)} \u202egnp.exe

${"> ".repeat(200)}deep
`;

const release = (version, weight) => {
  const bulk = (target) => `${target} ${version}\n`.repeat(weight);
  const platform = (platform, arch) => ({ platform, arch, media_type: "application/gzip" });
  return [
    [`tool-${version}-linux-amd64.tar.gz`, bulk("linux amd64"), platform("linux", "amd64")],
    [`tool-${version}-linux-arm64.tar.gz`, bulk("linux arm64 "), platform("linux", "arm64")],
    [`tool-${version}-macos-universal.zip`, bulk("macos universal binary"), platform("macos", "universal")],
    [`tool-${version}-windows-amd64.zip`, bulk("windows amd64"), platform("windows", "amd64")],
    ["LICENSE", "Apache-2.0\n"],
  ];
};

// What the pages of the ordinary name are tested with.
export async function ordinary() {
  await publish("acme/tool", release("1.2.0", 30_000), { version: "v1.2.0" });
  await publish("acme/tool", release("1.3.0", 38_000), { version: "v1.3.0" });
  await publish("acme/tool", [...release("1.3.1", 41_000), ["checksums.txt", "none\n"]], { version: "v1.3.1" });
  await request("POST", "/versions/acme/tool@2/promote", "");
  await publish("acme/tool", release("1.4.0", 29_000), { version: "v1.4.0", metadata: { notes: NOTES } });
  await request("PUT", "/versions/acme/tool@2/pin", "");
  await request("DELETE", "/manifests/acme/tool@1?reason=it%20deletes%20the%20wrong%20directory%20on%20Windows");
  await publish("acme/tool", release("1.5.0-rc.1", 30_000), { version: "v1.5.0-rc.1" }, "?activate=false");
  const yank = { reason: "Loses settings when it is upgraded from 1.2", instead: 4 };
  await request("PUT", "/versions/acme/tool@3/yank", JSON.stringify(yank), "application/json");
  await request("POST", "/versions/acme/tool@4/copy", JSON.stringify({ to: "acme/tool-lts" }), "application/json");
  await publish("acme/docs", [["index.html", "<p>docs"]], { version: "2026-05-14", kind: "static", entrypoint: "index.html" });
  const server = ["server", "server ".repeat(90_000), { executable: true }];
  const choice = ["deb", "rpm"].map((format) => [`server_0.9.2_amd64.${format}`, format, { platform: "linux", arch: "amd64" }]);
  const source = { blob: digest("the source"), size: 10 };
  await request("PUT", `/blobs/${source.blob}`, "the source");
  await publish("acme/server", [server, ...choice], { version: "v0.9.2", source });
  await request("PUT", "/versions/acme/server@1/floor", JSON.stringify({ reason: "CVE-2026-1234" }), "application/json");
  await publish("nightly", [["tool.tar.gz", "nightly ".repeat(70_000)]], { version: "main:3f2a91c" });
}

// Images as container clients push them: one with layers, one for two platforms, and an artifact of files.
export async function images() {
  const blob = async (mediaType, content, more = {}) => {
    await request("PUT", `/blobs/${digest(content)}`, content);
    return { mediaType, digest: digest(content), size: Buffer.byteLength(content), ...more };
  };
  const put = (name, manifest) => request("PUT", `/manifests/${name}`, JSON.stringify(manifest));
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const image = async (architecture) => {
    const config = await blob("application/vnd.oci.image.config.v1+json", JSON.stringify({ architecture, os: "linux" }));
    const layers = [];
    for (const layer of ["base", "libraries", "program"]) {
      layers.push(await blob("application/vnd.oci.image.layer.v1.tar+gzip", `${layer} ${architecture}`.repeat(9_000)));
    }
    return { schemaVersion: 2, mediaType, config, layers };
  };
  await put("acme/image/v1", await image("amd64"));
  const manifests = [];
  for (const [os, architecture] of [["linux", "amd64"], ["linux", "arm64"], ["unknown", "unknown"]]) {
    manifests.push(await blob(mediaType, JSON.stringify(await image(architecture)), { platform: { os, architecture } }));
  }
  await put("acme/image/v2", { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests });
  const title = { annotations: { "org.opencontainers.image.title": "notes.txt" } };
  const layers = [await blob("text/plain", "notes", title)];
  await put("acme/notes/v1", { schemaVersion: 2, mediaType, config: await blob("application/vnd.oci.empty.v1+json", "{}"), layers });
}

export async function hostile() {
  const label = `<b onclick="x()">v1</b>\u202e<script>document.title="owned"</script>${"w".repeat(100_000)}`;
  const odd = ["naïve 文件 'quotes' & <b>.txt", "x"];
  const long = ["l".repeat(255), "y", { platform: "<i>" + "p".repeat(300), arch: "\u202e" }];
  await publish("hostile", [odd, long, ["deep/" + "d/".repeat(100) + "file", "z"]], { version: "v0" });
  await publish("hostile", [odd, long], { version: label, kind: "files", metadata: { notes: HOSTILE } });
  await request("PUT", "/versions/hostile@1/yank", JSON.stringify({ reason: HOSTILE_REASON }), "application/json");
  await publish("long." + "n".repeat(120) + "/" + "T".repeat(120), [["f", "f"]], { version: "1" });
}

export async function large() {
  const files = Array.from({ length: 10_000 }, (_, at) => [`file-${String(at).padStart(5, "0")}.bin`, "same"]);
  await publish("large", files, { version: "10,000 files" });
}
