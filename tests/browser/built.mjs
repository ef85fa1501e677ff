// A site that others have built, in two of its versions: a tab that has the first one open finds all of its scripts when
// the second one is published, and the other way round after a rollback. LARDER_URL is the server, LARDER_TOKEN may publish.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { chromium } from "playwright-core";
import { publish, request } from "./publish.mjs";

const { LARDER_URL: url, CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;
const { host } = new URL(url);
const SITE = "http://docs.example.org";

const read = (name) => {
  const root = new URL(`node_modules/${name}/build/dist`, import.meta.url).pathname;
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => relative(root, join(entry.parentPath, entry.name)));
  return paths.filter((path) => !path.endsWith(".map")).map((path) => [path, readFileSync(join(root, path))]);
};
const [older, newer] = [read("altair-static-older"), read("altair-static")];
const chunks = (files) => files.map(([path]) => path).filter((path) => /^chunk-\w+\.js$/.test(path));
const release = (files, site = {}) => publish("acme/docs", files, { kind: "static", entrypoint: "index.html", site });

// Each version has scripts that the other one lacks.
const missing = (files, others) => chunks(files).filter((path) => !chunks(others).includes(path));
assert.ok(missing(older, newer).length > 10 && missing(newer, older).length > 10);

const args = ["--no-sandbox", `--host-resolver-rules=MAP *.example.org ${host}`];
const browser = await chromium.launch({ executablePath, args });
const context = await browser.newContext();
const failed = [];

async function open() {
  const page = await context.newPage();
  page.on("response", (answer) => {
    if (answer.url().startsWith(SITE) && answer.status() >= 400) failed.push(`${answer.status()} ${answer.url()}`);
  });
  await page.goto(`${SITE}/`);
  // As whoever embeds it does.
  await page.evaluate(() => AltairGraphQL.init({}));
  await page.waitForSelector("app-header", { timeout: 20_000 });
  return page;
}

// What each of the scripts that the page may load later becomes in the browser.
const load = (page, files) =>
  page.evaluate(async (paths) => {
    const load = (path) => import(`/${path}`).then(() => "", (error) => `${path}: ${error}`);
    return (await Promise.all(paths.map(load))).filter(Boolean);
  }, chunks(files));

await release(older);
const first = await open();
// After the build a tool has written into some scripts, whose names are still those of what they were before.
const refused = await release(newer).then(() => [], (error) => JSON.parse(/{.*}/s.exec(error.message)[0]).files);
const changed = refused.map(({ name }) => name);
assert.ok(changed.length >= 9 && changed.every((name) => /-[A-Z0-9]{8}\.js$/.test(name)), changed.join());
assert.equal((await release(newer, { revalidate: changed })).version, 2);
assert.deepEqual(await load(first, older), []);
const second = await open();
await request("POST", "/versions/acme/docs@1/promote");
assert.deepEqual(await load(second, newer), []);
await open();

assert.deepEqual(failed, []);
await browser.close();
