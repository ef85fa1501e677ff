// Takes pictures of seven pages at phone and desktop width, light and dark: node screenshots.mjs DIRECTORY [dark]
import { chromium } from "playwright-core";
import { images, ordinary } from "./publish.mjs";

const { LARDER_URL: url, CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;
const [directory, scheme = "light"] = process.argv.slice(2);
const PAGES = [
  ["start", "/"],
  ["name", "/versions/acme/tool"],
  ["version", "/versions/acme/tool@4"],
  ["diff", "/versions/acme/tool@3/diff?to=4"],
  ["history", "/history/acme/tool"],
  ["gone", "/versions/acme/tool@1"],
  ["missing", "/versions/acme/toool"],
];

// Looked at while developing, with FULL=1 from top to bottom.
const MORE = [
  ["warned", "/versions/acme/tool@3"],
  ["choice", "/refs/acme/server?os=linux&arch=amd64"],
  ["server", "/versions/acme/server"],
  ["image", "/versions/acme/image/v1@1"],
  ["platforms", "/versions/acme/image/v2@1"],
  ["artifact", "/versions/acme/notes/v1"],
];

if (!process.env.PUBLISHED) {
  await ordinary();
  await images();
}
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const [device, width, usual] of [["desktop", 960, 640], ["phone", 360, 720]]) {
  const context = await browser.newContext({ viewport: { width, height: usual }, colorScheme: scheme, timezoneId: "UTC", locale: "en-GB" });
  const page = await context.newPage();
  for (const [name, path] of [...PAGES, ...(process.env.FULL ? MORE : [])]) {
    // The page of a name shows the first files, too.
    await page.setViewportSize({ width, height: name === "name" ? 724 : usual });
    await page.goto(url + path);
    await page.screenshot({ path: `${directory}/${name}-${device}.png`, fullPage: Boolean(process.env.FULL) });
  }
}
await browser.close();
