// Takes the pictures of docs/sites.md: node site-pictures.mjs ../../docs/pages
// LARDER_URL is a server with the sites of the guide, LARDER_TOKEN may publish, LARDER_READER may only read.
import { chromium } from "playwright-core";
import { publish } from "./publish.mjs";

const { LARDER_URL: url, LARDER_READER: password, CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;
const [directory] = process.argv.slice(2);
const { host } = new URL(url);
// Height of what stands for the bar of a browser, in pixels.
const BAR = 44;

const STYLE = `body{margin:0;font:16px/1.55 system-ui,sans-serif;color:#1c2330;display:grid;grid-template-columns:13rem 1fr}
nav{background:#f3f5f8;padding:1.6rem 1.4rem;min-height:100vh;box-sizing:border-box}nav b{display:block;margin-bottom:1rem}
nav a{display:block;color:#33507a;text-decoration:none;margin:.45rem 0}main{padding:1.4rem 2.4rem;max-width:40rem}
h1{font-size:1.9rem;margin:.2em 0}pre{background:#0f1b2d;color:#dbe7f5;padding:1rem;border-radius:8px}
.new{background:#e2f4ea;color:#0a6b45;border-radius:99px;padding:.1rem .7rem;font-size:.8rem}`;
const page = (title, mark, text) => `<!doctype html><html lang=en><meta charset=utf-8><title>${title}</title>
<link rel=icon href=data:,><link rel=stylesheet href=/assets/style-CjL4fkWS.css>
<nav><b>Acme Docs</b><a href=/>Introduction</a><a href=/install>Install</a><a href=/guide/>Guide</a><a href=/api>API</a></nav>
<main><h1>${title} ${mark}</h1><p>${text}</p><pre>acme init my-project
acme deploy --to production</pre><p>Read on in the guide, or look things up in the API.</p></main></html>`;

const release = (version, index, query) =>
  publish(
    "acme/docs",
    [
      ["index.html", index],
      ["assets/style-CjL4fkWS.css", STYLE],
    ],
    { kind: "static", entrypoint: "index.html", version },
    query,
  );
await release("v1.4.0", page("Introduction", "", "Acme takes a directory and makes a service of it, in one step."));
await release(
  "v1.5.0",
  page("Get started", "<span class=new>new</span>", "Acme takes a directory and makes a service of it, now with previews."),
  "?activate=false",
);

const args = ["--no-sandbox", `--host-resolver-rules=MAP *.example.org ${host}`];
const browser = await chromium.launch({ executablePath, args });

// A page below the address that it was found at, which pictures of pages do not have.
async function picture(name, address, more = {}) {
  const viewport = { width: Number(process.env.WIDTH ?? 960), height: 420 };
  const context = await browser.newContext({ viewport, timezoneId: "UTC", locale: "en-GB", ...more });
  const tab = await context.newPage();
  const answer = await tab.goto(address);
  if (answer.status() !== 200) throw new Error(`${address}: ${answer.status()}`);
  const shown = (await tab.screenshot()).toString("base64");
  const found = new URL(tab.url());
  // Another tab, for which the policy of the page does not count.
  const frame = await context.newPage();
  await frame.setViewportSize({ ...viewport, height: viewport.height + BAR });
  await frame.setContent(
    `<body style="margin:0;background:#dfe3ea"><div style="box-sizing:border-box;height:${BAR}px;padding:7px 14px">` +
      `<div style="font:15px/30px system-ui,sans-serif;background:#fff;color:#1c2330;border-radius:15px;padding:0 16px">` +
      `${found.host}${found.pathname}</div></div><img style="display:block" src="data:image/png;base64,${shown}">`,
  );
  await frame.screenshot({ path: `${directory}/${name}-desktop.png` });
  await context.close();
}

await picture("site", "http://docs.example.org/");
await picture("site-preview", "http://v2-docs.preview.example.org/", {
  httpCredentials: { username: "anybody", password },
});
await picture("site-release", "http://releases.example.org/versions/acme/docs");
await browser.close();
