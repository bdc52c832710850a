/**
 * `yaml` and `prom-client` are optional: without them ExoCom works, and what needs them says which to install. Run in a
 * folder where all of nyota's packages are installed but these two.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nyota-lean-'));
  const nyota = join(folder, 'node_modules/nyota');
  mkdirSync(nyota, { recursive: true });
  cpSync(join(ROOT, 'dist'), join(nyota, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(nyota, 'package.json'));
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) {
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name), 'junction');
  }
  writeFileSync(join(folder, 'routes.yml'), 'web: {}\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(program: string): unknown {
  writeFileSync(join(folder, 'program.mjs'), program);
  return JSON.parse(execFileSync(process.execPath, ['program.mjs'], { cwd: folder, encoding: 'utf8' }));
}

describe('without the optional packages', () => {
  it('a YAML file names the package to install, and everything else works', () => {
    const result = run(`
      import { ExoCom } from 'nyota/exocom';
      const texts = [];
      try { new ExoCom({ routes: 'routes.yml' }); } catch (error) { texts.push(error.code, error.message); }
      const hub = new ExoCom({ routes: { web: {} } });
      texts.push(Object.keys(hub.config().routes));
      console.log(JSON.stringify(texts));
    `);
    expect(result).toEqual([
      'NYOTA_INVALID_OPTION',
      "routes file 'routes.yml': YAML needs the package 'yaml': npm install yaml",
      ['web'],
    ]);
  });

  it('`/metrics` names the package to install, and the other pages work', () => {
    const result = run(`
      import { ExoCom } from 'nyota/exocom';
      const hub = new ExoCom({ monitorPort: 0 });
      await new Promise((resolve) => hub.listen(0, '127.0.0.1', resolve));
      const at = 'http://127.0.0.1:' + hub.monitorAddress().port;
      const metrics = await fetch(at + '/metrics');
      const health = await fetch(at + '/healthz');
      console.log(JSON.stringify([metrics.status, await metrics.text(), health.status]));
      await hub.close();
    `);
    expect(result).toEqual([500, "/metrics needs the package 'prom-client': npm install prom-client\n", 200]);
  });
});
