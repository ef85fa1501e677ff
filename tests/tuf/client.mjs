// The same as client.py, with tuf-js.

import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Updater } from 'tuf-js';

const [home, base, target, days] = process.argv.slice(2);
const state = join(home, 'node');
mkdirSync(state, { recursive: true });
if (!existsSync(join(state, 'root.json'))) copyFileSync(join(home, 'root.json'), join(state, 'root.json'));
try {
  const updater = new Updater({
    metadataDir: state,
    metadataBaseUrl: `${base}/metadata`,
    targetDir: state,
    targetBaseUrl: `${base}/targets`,
    config: { fetchRetries: 0 },
  });
  updater.trustedSet.referenceTime = new Date(Date.now() + Number(days) * 86_400_000);
  await updater.refresh();
  const info = await updater.getTargetInfo(target);
  console.log(info ? readFileSync(await updater.downloadTarget(info), 'utf8') : 'there is no such target');
} catch (error) {
  console.log(`${error.constructor.name}: ${error.message}`);
}
