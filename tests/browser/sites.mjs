// Visits a site while it changes, as people do: LARDER_URL is the server, LARDER_TOKEN may publish, LARDER_READER may only
// read. Fails at the first thing that is not as it should be.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { publish, request } from "./publish.mjs";

const { LARDER_URL: url, LARDER_READER: reader, CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;
const { host } = new URL(url);
const SITE = "http://docs.example.org";
const PREVIEW = "http://v2-docs.preview.example.org";

// A page that loads its second script only when its button is pressed, as applications with routes do.
const version = (word, main, chunk) => [
  [
    "index.html",
    `<!doctype html><html lang=en><meta charset=utf-8><title>${word}</title><link rel=icon href=data:,>` +
      `<script type=module src=/assets/${main}></script><h1>${word}</h1><button>more</button><p></p></html>`,
  ],
  [
    `assets/${main}`,
    `document.querySelector("button").onclick = async () => {` +
      `document.querySelector("p").textContent = (await import("/assets/${chunk}")).text; };`,
  ],
  [`assets/${chunk}`, `export const text = "the rest of ${word}";`],
  ["404.html", "<!doctype html><html lang=en><title>Lost</title><link rel=icon href=data:,><h1>Lost</h1></html>"],
];
const ONE = version("one", "main-CjL4fkWS.js", "more-Ax7LfkQS.js");
const TWO = [
  ...version("two", "main-BTV8LsEM.js", "more-Bz9QwErT.js"),
  ["moved/index.html", "<!doctype html><html lang=en><title>moved</title><link rel=icon href=data:,></html>"],
];
ONE.push(["moved.html", TWO.at(-1)[1]]);
const release = (files, query) => publish("acme/docs", files, { kind: "static", entrypoint: "index.html" }, query);
const promote = (number) => request("POST", `/versions/acme/docs@${number}/promote`);

const args = ["--no-sandbox", `--host-resolver-rules=MAP *.example.org ${host}`];
const browser = await chromium.launch({ executablePath, args });
const context = await browser.newContext();
const errors = [];

async function open(path = "/") {
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(`${page.url()}: ${error}`));
  await page.goto(SITE + path);
  return page;
}

async function more(page, word) {
  await page.click("button");
  await page.waitForFunction((text) => document.querySelector("p").textContent === text, `the rest of ${word}`);
}

await release(ONE);
const first = await open();
assert.equal(await first.title(), "one");

// What a tab of an earlier version loads late is still there after a publish, and the next tab has the new version.
await release(TWO);
await more(first, "one");
const second = await open();
assert.equal(await second.title(), "two");

// The browser is sent from /moved to /moved/ for ever (308), and after a rollback the other way.
const moved = await open("/moved");
assert.equal(moved.url(), `${SITE}/moved/`);

// After a rollback the tab of the newer version goes on, and a reload has the older one.
await promote(1);
await more(second, "two");
await second.reload();
assert.equal(await second.title(), "one");
await more(second, "one");
assert.equal((await moved.goto(`${SITE}/moved/`)).status(), 200);
assert.equal(moved.url(), `${SITE}/moved`);
assert.equal((await moved.goto(`${SITE}/moved`)).status(), 200);
assert.equal(moved.url(), `${SITE}/moved`);

// What is not there says so, by the page of the release.
const lost = await second.goto(`${SITE}/no/such/page`);
assert.equal(lost.status(), 404);
assert.equal(await second.title(), "Lost");

// A preview asks for a password, and what its page loads needs no second one.
const stranger = await (await browser.newContext()).newPage();
assert.equal((await stranger.goto(PREVIEW).catch(() => null))?.status() ?? 401, 401);
const credentials = await browser.newContext({ httpCredentials: { username: "anybody", password: reader } });
const preview = await credentials.newPage();
const shown = await preview.goto(PREVIEW);
assert.equal(shown.status(), 200);
assert.equal(shown.headers()["x-robots-tag"], "noindex");
assert.equal(await preview.title(), "two");
await more(preview, "two");

// The pages that the server has of its own fit a phone and a desktop, and look as they should in the dark.
await publish("acme/docs", [["index.html", "<title>three</title>"]], { kind: "static", entrypoint: "index.html" });
for (const [name, width, height, colorScheme] of [
  ["phone", 360, 640, "light"],
  ["desktop", 1280, 800, "dark"],
]) {
  const small = await (await browser.newContext({ viewport: { width, height }, colorScheme })).newPage();
  const answer = await small.goto(`${SITE}/no/such/page`);
  assert.equal(answer.status(), 404);
  assert.equal(await small.title(), "Not found");
  assert.ok(await small.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} scrolls sideways`);
  if (process.env.SCREENSHOTS) await small.screenshot({ path: `${process.env.SCREENSHOTS}/not-found-${name}.png` });
}

assert.deepEqual(errors, []);
await browser.close();
