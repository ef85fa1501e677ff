// Publishes a catalog with long names, warnings, and keys of which one has signed it. Who verified it would find the
// document's own signature wrong: pages do not.
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { publish } from "./publish.mjs";

export const CATALOG = "releases.example.org/team/a-tool-with-quite-a-long-name";

function key() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return { raw: publicKey.export({ format: "der", type: "spki" }).subarray(12), privateKey, id: randomBytes(8) };
}

// Of a key: how minisign shows its id, and the line that its owner gives to readers.
const shown = ({ id, raw }) => ({
  id: Buffer.from(id).reverse().toString("hex").toUpperCase(),
  line: Buffer.concat([Buffer.from("Ed"), id, raw]).toString("base64"),
});

export async function catalog() {
  const keys = [key(), key()];
  const hex = keys.map(({ raw }) => raw.toString("hex"));
  const role = { keyids: hex, threshold: 1 };
  const roles = { root: role, snapshot: role, targets: role, timestamp: role };
  const byId = Object.fromEntries(hex.map((key) => [key, { keytype: "ed25519", keyval: { public: key }, scheme: "ed25519" }]));
  const signed = { _type: "root", spec_version: "1.0.31", version: 1, expires: "2999-01-01T00:00:00Z", keys: byId, roles };
  const release = (name, more) => ({
    name,
    at: `${CATALOG}/v1`,
    manifest: `sha256:${"0".repeat(64)}`,
    size: 1,
    published: "2026-11-29T12:00:00Z",
    items: { "linux-amd64": { file: "tool-linux-amd64" }, [`darwin-arm64-${"x".repeat(100)}`]: {} },
    ...more,
  });
  const releases = [
    release("v2.0.0-beta.1+build.20261129", { metadata: { tracks: "beta,nightly" }, replay: { file: "replay.json" } }),
    release(`v1.1.0-${"long".repeat(20)}`, { hazards: { [`CVE-2026-12345-${"9".repeat(60)}`]: `</p><script>document.title="owned"</script>${"h".repeat(300)}` } }),
    release("v1.0.0", { metadata: { tracks: `stable,${"t".repeat(100)}` } }),
  ];
  const document = { type: "larder-catalog/1", name: CATALOG, serial: 4, issued: "2026-11-29T12:00:00Z", expires: "2999-01-01T00:00:00Z", releases };
  const comment = "made for a picture", signature = randomBytes(64);
  const global = sign(null, Buffer.concat([signature, Buffer.from(comment)]), keys[0].privateKey);
  const file = [
    "untrusted comment: x",
    Buffer.concat([Buffer.from("ED"), keys[0].id, signature]).toString("base64"),
    `trusted comment: ${comment}`,
    global.toString("base64"),
    "",
  ];
  await publish(`${CATALOG}/_catalog`, [
    ["catalog.json", JSON.stringify(document)],
    ["catalog.json.minisig", file.join("\n")],
    ["metadata/1.root.json", JSON.stringify({ signatures: [], signed })],
  ]);
  return { ...shown(keys[0]), other: hex[1] };
}
