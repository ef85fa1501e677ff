// Applications as people build them, on a site that changes: routes of the history API, a service worker that keeps what
// it needs, and a preview behind a password whose page loads everything that a page can load. LARDER_URL is the server,
// LARDER_TOKEN may publish, LARDER_READER may only read.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { publish, request } from "./publish.mjs";

const { LARDER_URL: url, LARDER_READER: reader, CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;
const { host } = new URL(url);
const SITE = "http://docs.example.org";
const PREVIEW = "http://v1-docs.preview.example.org";
const PIXEL = '<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"/>';

// `page` shows what its routes are called, loads `chunk` when its button is pressed, and keeps `kept` in its worker.
const version = (word, main, chunk, kept) => [
  [
    "index.html",
    `<!doctype html><html lang=en><meta charset=utf-8><title>${word}</title><link rel=icon href=data:,>` +
      `<link rel=stylesheet href=/style.css><script type=module src=/assets/${main}></script>` +
      `<h1>${word}</h1><button>more</button><a href=/app/settings/1.0>settings</a><p></p><img src=/pixel.svg></html>`,
  ],
  [
    `assets/${main}`,
    `const show = () => (document.querySelector("h1").dataset.route = location.pathname);
     document.querySelector("a").onclick = (event) => { event.preventDefault(); history.pushState(null, "", event.target.href); show(); };
     onpopstate = show;
     document.querySelector("button").onclick = async () =>
       (document.querySelector("p").textContent = (await import("/assets/${chunk}")).text);
     show();`,
  ],
  [`assets/${chunk}`, `export const text = "the rest of ${word}";`],
  ["style.css", "h1 { color: rgb(1, 2, 3) }"],
  ["pixel.svg", PIXEL],
  ["data.json", JSON.stringify({ word })],
  ["worker.js", `postMessage("a worker of ${word}");`],
  [
    "sw.js",
    `const NAME = "${word}", KEPT = ${JSON.stringify(kept)};
     oninstall = (event) => { skipWaiting(); event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(KEPT))); };
     onactivate = (event) => event.waitUntil(clients.claim());
     onmessage = (event) => event.source.postMessage(NAME);
     onfetch = (event) => event.respondWith(event.request.mode === "navigate"
       ? fetch(event.request)
       : caches.match(event.request).then((found) => found ?? fetch(event.request)));`,
  ],
];
const ONE = version("one", "main-CjL4fkWS.js", "more-Ax7LfkQS.js", ["/style.css", "/assets/main-CjL4fkWS.js"]);
const TWO = version("two", "main-BTV8LsEM.js", "more-Bz9QwErT.js", ["/style.css", "/assets/more-Bz9QwErT.js"]);
// Its worker wants what is nowhere.
const BROKEN = version("three", "main-Dk3RtYuI.js", "more-Fh6GjKlP.js", ["/assets/x-DEADBEE1.js"]);
const settings = { kind: "static", entrypoint: "index.html", site: { fallback: "index.html" } };
const release = (files) => publish("acme/docs", files, settings);
const promote = (number) => request("POST", `/versions/acme/docs@${number}/promote`);

const args = [
  "--no-sandbox",
  `--host-resolver-rules=MAP *.example.org ${host}`,
  // Workers are for secure origins only; a proxy would be in front.
  `--unsafely-treat-insecure-origin-as-secure=${SITE}`,
];
const browser = await chromium.launch({ executablePath, args });
const errors = [];

async function open(context, address) {
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(`${page.url()}: ${error}`));
  const answer = await page.goto(address);
  return [page, answer];
}

async function more(page, word) {
  await page.click("button");
  await page.waitForFunction((text) => document.querySelector("p").textContent === text, `the rest of ${word}`);
}

const route = (page) => page.getAttribute("h1", "data-route");

// Routes: gone to by a click, reloaded, gone back from, and given to somebody else.
await release(ONE);
{
  const context = await browser.newContext();
  const [page] = await open(context, `${SITE}/`);
  await page.click("a");
  assert.equal(await route(page), "/app/settings/1.0");
  const reloaded = await page.reload();
  assert.equal(reloaded.status(), 200);
  assert.equal(reloaded.headers()["cache-control"], "no-cache");
  assert.equal(await route(page), "/app/settings/1.0");
  await more(page, "one");
  await page.goBack();
  await page.waitForFunction(() => document.querySelector("h1")?.dataset.route === "/");
  const [other, answer] = await open(context, `${SITE}/app/anna.smith`);
  assert.equal(answer.status(), 200);
  assert.equal(await route(other), "/app/anna.smith");
  // What a page asks for that is not there is not the page.
  const missing = await page.evaluate(async () => {
    const image = new Image();
    const shown = new Promise((done) => ((image.onload = () => done(true)), (image.onerror = () => done(false))));
    image.src = "/app/missing.png";
    const script = await import("/assets/x-DEADBEE1.js").then(() => true, () => false);
    return [(await fetch("/app/missing.json")).status, script, await shown];
  });
  assert.deepEqual(missing, [404, false, false]);
  await context.close();
}

// A preview behind a password: whatever the page loads needs no second one.
{
  const credentials = { username: "anybody", password: reader };
  const context = await browser.newContext({ httpCredentials: credentials });
  const [page, answer] = await open(context, `${PREVIEW}/`);
  assert.equal(answer.status(), 200);
  await more(page, "one");
  const loaded = await page.evaluate(async () => {
    const worker = new Worker("/worker.js");
    const said = await new Promise((done) => (worker.onmessage = (event) => done(event.data)));
    const color = getComputedStyle(document.querySelector("h1")).color;
    const { word } = await (await fetch("/data.json")).json();
    return [said, color, word, document.querySelector("img").naturalWidth];
  });
  assert.deepEqual(loaded, ["a worker of one", "rgb(1, 2, 3)", "one", 2]);
  const [deep, shell] = await open(context, `${PREVIEW}/app/route`);
  assert.equal(shell.status(), 200);
  assert.equal(await route(deep), "/app/route");
  await more(deep, "one");
  await context.close();
}

// A service worker keeps what the page of its version needs, and gives way to that of the next version at once.
{
  const context = await browser.newContext();
  const [page] = await open(context, `${SITE}/`);
  const worker = (page) =>
    page.evaluate(async () => {
      const { active } = await navigator.serviceWorker.ready;
      const said = new Promise((done) => (navigator.serviceWorker.onmessage = (event) => done(event.data)));
      active.postMessage("who");
      return said;
    });
  const update = (page) =>
    page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      const changed = new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", done, { once: true }));
      await registration.update();
      await Promise.race([changed, new Promise((done) => setTimeout(done, 3000))]);
    });
  await page.evaluate(async () => {
    const ready = new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", done, { once: true }));
    await navigator.serviceWorker.register("/sw.js");
    await ready;
  });
  assert.equal(await worker(page), "one");
  await release(TWO);
  await update(page);
  assert.equal(await worker(page), "two");
  // The page is still that of the first version, and finds what neither worker has kept.
  await more(page, "one");
  await page.reload();
  assert.equal(await page.title(), "two");
  await more(page, "two");
  // One that cannot keep what it wants does not take over, and has kept no page in place of a script.
  await release(BROKEN);
  await update(page);
  assert.equal(await worker(page), "two");
  const kept = await page.evaluate(async () => {
    const all = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).matchAll()));
    return all.flat().map((answer) => [answer.status, answer.headers.get("content-type").split(";")[0]]);
  });
  assert.ok(kept.length >= 4);
  assert.deepEqual(kept.filter(([status, type]) => status !== 200 || type === "text/html"), []);
  // After a rollback the first worker comes back, whatever the browser has kept.
  await promote(1);
  await update(page);
  assert.equal(await worker(page), "one");
  await page.reload();
  assert.equal(await page.title(), "one");
  await more(page, "one");
  await context.close();
}

assert.deepEqual(errors, []);
await browser.close();
