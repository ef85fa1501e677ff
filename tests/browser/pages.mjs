// Opens every page in a browser, as people do: LARDER_URL and LARDER_TOKEN say of which server. Fails at the first thing
// that is not as it should be.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { execSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { CATALOG, catalog } from "./catalog.mjs";
import { HOSTILE_REASON, hostile, images, large, ordinary, publish, request } from "./publish.mjs";

const { LARDER_URL: url, CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LONG = "long." + "n".repeat(120) + "/" + "T".repeat(120);

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
await ordinary();
await hostile();
await large();
await images();
const signer = await catalog();
await publish("private/name", [["secret.txt", "secret"]], { version: "private label" });
const { manifest } = await (await request("GET", "/versions/acme/tool@4")).json();

const PAGES = [
  "/",
  "/?q=tool",
  "/?q=no-such-thing",
  "/manifests",
  "/versions/acme/tool",
  "/versions/acme/tool?before=3",
  "/versions/acme/tool@3",
  "/versions/acme/tool@4",
  "/versions/acme/server",
  `/manifests/${manifest}`,
  `/manifests/${manifest}?limit=1`,
  "/history/acme/tool",
  "/history/acme/tool?limit=3&all=true",
  "/history/acme/tool@2",
  "/history/hostile",
  "/refs/acme/server?os=linux&arch=amd64",
  "/versions/acme/tool@3/diff?to=4",
  "/versions/acme/tool@4/diff?to=4",
  "/versions/hostile",
  "/versions/hostile@1",
  "/versions/hostile@2",
  "/versions/hostile@1/diff?to=2",
  "/versions/large",
  "/versions/large@1?page=100",
  `/versions/${LONG}`,
  "/versions/acme/image/v1",
  "/versions/acme/image/v1@1",
  "/versions/acme/image/v2@1",
  "/versions/acme/notes/v1@1",
  `/catalogs/${CATALOG}`,
  "/versions/acme/tool@1",
  "/versions/acme/toool",
  "/versions/private/name",
  "/versions/UPPER/case",
];
const ERRORS = new Set(PAGES.slice(-4));

async function check(name, run, options = {}) {
  const context = await browser.newContext({ acceptDownloads: true, locale: "en-GB", timezoneId: "Asia/Tokyo", ...options });
  const page = await context.newPage();
  const trouble = [];
  page.on("console", (line) => {
    // A page about an error is itself answered with one, which browsers report.
    if (line.type() === "error" && !line.text().startsWith("Failed to load resource: the server responded")) trouble.push(line.text());
  });
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) trouble.push(`asked for ${request.url()}`);
  });
  await run(page, context);
  assert.deepEqual(trouble, [], name);
  await context.close();
  console.log(`ok: ${name}`);
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

for (const colorScheme of ["light", "dark"]) {
  for (const width of [320, 1120]) {
    await check(`${colorScheme}, ${width} px`, async (page) => {
      for (const path of PAGES) {
        const answer = await page.goto(url + path);
        assert.equal(answer.status() >= 400, ERRORS.has(path), `${path}: ${answer.status()}`);
        assert.equal(answer.headers()["content-type"], "text/html; charset=utf-8", path);
        await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
        const [wide, narrow] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        assert.ok(wide <= narrow, `${path} is ${wide} px wide in ${narrow} px`);
        // In a world of its own, which the policy of the page does not bind.
        const cdp = await page.context().newCDPSession(page);
        const { frameTree } = await cdp.send("Page.getFrameTree");
        const { executionContextId: contextId } = await cdp.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
        const evaluate = (expression) => cdp.send("Runtime.evaluate", { expression, contextId, awaitPromise: true, returnByValue: true });
        await evaluate(axe);
        // The same markup a hundred times over is checked on the other pages.
        if (path.includes("large")) continue;
        const { result } = await evaluate(`axe.run(document).then(({ passes, violations }) => ({ passes: passes.length,
          violations: violations.map(({ id, help, nodes }) => [id, help, nodes.slice(0, 3).map(({ html }) => html)]) }))`);
        assert.deepEqual(result.value.violations, [], path);
        assert.ok(result.value.passes > 20, path);
      }
    }, { viewport: { width, height: 800 }, colorScheme });
  }
}

await check("the keys of a catalog are those that its readers know, and its line is copied", async (page, context) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(`${url}/catalogs/${CATALOG}`);
  assert.notEqual(await page.title(), "owned");
  assert.equal(await page.getByRole("listitem").filter({ hasText: signer.id }).textContent(), `${signer.id}: ${signer.line}`);
  await page.getByText(signer.other).waitFor();
  await page.getByRole("button", { name: "Copy the command" }).click();
  await page.getByRole("status").getByText("Copied the").waitFor({ state: "attached" });
  const line = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(line, `larder catalog verify ${CATALOG} --server ${url} --verify-key KEY`);
}, { viewport: { width: 360, height: 800 } });

await check("a click downloads the file", async (page) => {
  await page.goto(`${url}/`);
  await page.getByRole("link", { name: "acme/tool", exact: true }).click();
  const file = "tool-1.4.0-linux-amd64.tar.gz";
  const details = page.getByRole("listitem").filter({ has: page.getByRole("link", { name: file, exact: true }) });
  const started = page.waitForEvent("download");
  await page.getByRole("link", { name: file, exact: true }).click();
  const download = await started;
  assert.equal(download.suggestedFilename(), file);
  const bytes = readFileSync(await download.path());
  await details.locator("summary").click();
  assert.equal(await details.locator(".copy code").first().textContent(), `sha256:${sha256(bytes)}`);
});

await check("a command is copied, and a screen reader hears of it", async (page, context) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(`${url}/versions/acme/tool`);
  const copied = async (button) => {
    await button.click();
    await page.getByRole("status").getByText("Copied the").waitFor({ state: "attached" });
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const first = await copied(page.getByRole("button", { name: "Copy the command" }).first());
  assert.equal(first, `curl -fLJO "${url}/refs/acme/tool?os=linux&arch=amd64"`);
  const check = await copied(page.getByRole("button", { name: "Copy the check" }));
  // What people paste works: the file comes under its own name, and its checksum is right.
  const shell = { cwd: mkdtempSync(join(tmpdir(), "larder-")), encoding: "utf8" };
  execSync(first, { ...shell, stdio: "ignore" });
  assert.equal(execSync(check, shell), "tool-1.4.0-linux-amd64.tar.gz: OK\n");
  rmSync(shell.cwd, { recursive: true });
  await page.locator("summary").first().click();
  const exact = await copied(page.getByRole("button", { name: "Copy the command" }).nth(1));
  assert.equal(exact, `curl -fLO ${url}/refs/acme/tool@4/tool-1.4.0-linux-amd64.tar.gz`);
});

await check("the list is filtered while typing", async (page) => {
  await page.goto(`${url}/`);
  const rows = page.locator("tbody tr:visible");
  const before = await rows.count();
  await page.getByLabel("Search names and labels").pressSequentially("NIGHT");
  assert.equal(await rows.count(), 1);
  await page.getByLabel("Search names and labels").fill("");
  assert.equal(await rows.count(), before);
});

await check("times are local, with UTC at hand", async (page) => {
  await page.goto(`${url}/versions/acme/tool`);
  const time = page.locator("time").first();
  assert.match(await time.getAttribute("title"), /^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
  const local = new Date(await time.getAttribute("datetime")).toLocaleTimeString("en-GB", { timeStyle: "short", timeZone: "Asia/Tokyo" });
  assert.ok((await time.textContent()).includes(local));
});

await check("the keyboard reaches the content and every file", async (page) => {
  await page.goto(`${url}/versions/acme/tool`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const link = await page.evaluate(() => [document.activeElement.closest("main") !== null, getComputedStyle(document.activeElement).outlineStyle]);
  assert.deepEqual(link, [true, "solid"]);
});

await check("without script everything is there", async (page) => {
  await page.goto(`${url}/`);
  await page.getByLabel("Search names and labels").fill("V1.4");
  await page.getByRole("button", { name: "Search" }).click();
  assert.equal(await page.locator("tbody tr").count(), 2);
  await page.getByRole("link", { name: "acme/tool", exact: true }).click();
  assert.equal(await page.getByRole("button").count(), 0, "no button that does nothing");
  assert.match(await page.locator("time").first().textContent(), /UTC$/);
  await page.locator("summary").first().click();
  assert.ok(await page.locator(".copy code").first().isVisible());
  const started = page.waitForEvent("download");
  await page.getByRole("link", { name: "LICENSE", exact: true }).click();
  assert.equal((await started).suggestedFilename(), "LICENSE");
  await page.goto(`${url}/versions/acme/tool@4`);
  await page.getByLabel("Compare with version").fill("2");
  await page.getByRole("button", { name: "Compare" }).click();
  assert.equal(new URL(page.url()).pathname, "/versions/acme/tool@4/diff");
  await page.getByRole("heading", { name: "What changed" }).waitFor();
}, { javaScriptEnabled: false });

await check("people find out who did what, what not to use, and where else it is", async (page) => {
  await page.goto(`${url}/versions/acme/tool@3`);
  await page.getByRole("note").getByRole("link", { name: "version 4" }).click();
  await page.getByRole("heading", { name: "Also published as" }).waitFor();
  await page.getByRole("link", { name: /^acme\/tool-lts/ }).click();
  await page.getByRole("link", { name: "Everywhere with this manifest" }).click();
  assert.equal(await page.locator("tbody tr").count(), 2);
  await page.getByRole("link", { name: "acme/tool", exact: true }).click();
  await page.getByRole("link", { name: "History", exact: true }).click();
  const rolledBack = page.getByRole("row").filter({ hasText: "Rolled back to v1.3.0" });
  assert.match(await rolledBack.textContent(), /Active: #3 → #2.*larder:admin/);
  await page.getByRole("link", { name: "With every step of publishes" }).click();
  await page.getByText("Prepared").first().waitFor();
  await page.goto(`${url}/refs/acme/server?os=linux&arch=amd64`);
  const started = page.waitForEvent("download");
  await page.getByRole("link", { name: /rpm$/ }).click();
  assert.equal((await started).suggestedFilename(), "server_0.9.2_amd64.rpm");
}, { javaScriptEnabled: false });

await check("hostile labels and notes do no harm", async (page) => {
  for (const path of ["/", "/versions/hostile", "/versions/hostile@1", "/versions/hostile@2", "/versions/hostile@1/diff?to=2", "/history/hostile"]) {
    await page.goto(url + path);
    assert.notEqual(await page.title(), "owned", path);
    assert.equal(await page.locator("main :is(script, img, style, b, i, iframe)").count(), 0, path);
    assert.equal(await page.locator('a[href^="javascript" i]').count(), 0, path);
    const text = await page.locator("body").innerText();
    assert.ok(!text.includes("\u202e"), path);
    assert.equal(text.includes(HOSTILE_REASON), ["/versions/hostile", "/versions/hostile@1", "/history/hostile"].includes(path), path);
  }
  await page.goto(`${url}/versions/hostile@1`);
  const started = page.waitForEvent("download");
  await page.getByRole("link", { name: /^naïve/ }).click();
  await started;
});

await browser.close();
