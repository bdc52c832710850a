/**
 * Large messages, whose memory is used again once they are acknowledged: through cuts and between small ones, everything
 * arrives as it was when it was sent, and stays so in the hands of who has received it.
 */
import { expect, it } from 'vitest';
import type { Client, Session } from '../../../src/index.js';
import { proxyPair } from '../../support/delivery-pair.js';
import { eventually, once, seededRandom, upTo } from '../../support/delivery-wait.js';

const MESSAGES = 150;
const CUTS = 25;
/** Some of a segment's size, some of several slices of a socket's. */
const SIZES = [70_000, 300_000, 300_000, 700_000, 1_000_000];

interface Side {
  readonly heard: Array<[number: number, data: Buffer]>;
  send(): Promise<void>;
}

function sideOf(peer: Client | Session, onHeard: () => void, random: () => number): Side {
  const side = peer as Client;
  const heard: Side['heard'] = [];
  side.on('data', (number: number, data: Buffer) => {
    heard.push([number, data]);
    onHeard();
  });
  return {
    heard,
    async send() {
      // One buffer for all, as a user would who reads a file: what was sent may be changed at once.
      const data = Buffer.alloc(1_000_000);
      for (let number = 1; number <= MESSAGES; number++) {
        const size = random() < 0.2 ? 20 : (SIZES[Math.floor(random() * SIZES.length)] ?? 0);
        data.fill(number % 251, 0, size);
        if (!side.send('data', number, data.subarray(0, size))) await once(side, 'drain');
      }
    },
  };
}

function expectWhole({ heard }: Side): void {
  expect(heard.map(([number]) => number)).toEqual(upTo(MESSAGES));
  for (const [number, data] of heard) expect(data.equals(Buffer.alloc(data.length, number % 251))).toBe(true);
}

it(`large messages arrive whole in both directions through ${CUTS} cuts`, async () => {
  const { client, session, proxy, errors } = await proxyPair();
  let count = 0;
  const onHeard = (): void => {
    if (++count % Math.floor((2 * MESSAGES) / CUTS) === 0) proxy.cut();
  };
  const up = sideOf(client, onHeard, seededRandom(1));
  const down = sideOf(session, onHeard, seededRandom(2));
  await Promise.all([up.send(), down.send()]);
  await eventually(() => up.heard.length >= MESSAGES && down.heard.length >= MESSAGES, 'all is heard');
  for (const side of [up, down]) expectWhole(side);
  expect(proxy.totals.cuts).toBeGreaterThan(CUTS / 2);
  expect(errors).toEqual([]);
});
