/** Which instance had a message before the hub was restarted. */
import { describe, expect, it } from 'vitest';
import { Instance, Instances } from '../../../src/exocom/instances.js';
import { Recovery } from '../../../src/exocom/recovery.js';
import { MAX_AWAITED, type MessageRef } from '../../../src/exorelay/message.js';
import { createFakeClock } from '../../../src/testing/index.js';
import { FakePort, LIMITS } from '../../support/exocom-ports.js';

function hub(...ids: string[]) {
  const clock = createFakeClock();
  const ports = ids.map(() => new FakePort());
  const instances = new Instances(60_000);
  for (const [i, port] of ports.entries()) {
    instances.add(new Instance('users', ids[i] ?? '', port, LIMITS, 0));
  }
  const recovery = new Recovery(instances, clock, clock.now() + 2_000);
  const find = (id: string, roles: readonly string[] = ['users']) =>
    new Promise<ReadonlyMap<string, string>>((resolve) => {
      recovery.find({ sender: 'web', id }, () => roles, resolve);
    });
  return { clock, ports, recovery, find };
}
const knowing =
  (...ids: string[]) =>
  async (refs: readonly MessageRef[]) =>
    refs.filter(({ id }) => ids.includes(id));

describe('after a restart', () => {
  it('nobody is asked before the relays had time to come back, and then each instance once for all messages', async () => {
    const { clock, ports, find } = hub('1', '2');
    const asked: number[] = [];
    for (const port of ports) {
      port.knows = async (refs) => {
        asked.push(refs.length);
        return [];
      };
    }
    const found = [find('a'), find('b')];
    await clock.advance(1_999);
    expect(asked).toEqual([]);
    await clock.advance(1);
    await Promise.all(found);
    expect(asked).toEqual([2, 2]);
  });

  it('a message is known by the instance that had it', async () => {
    const { clock, ports, find } = hub('1', '2');
    (ports[1] as FakePort).knows = knowing('a');
    const [a, b] = [find('a'), find('b')];
    await clock.advance(2_000);
    expect([[...(await a)], [...(await b)]]).toEqual([[['users', '2']], []]);
  });

  it('an instance that does not answer can not have it', async () => {
    const { clock, ports, find } = hub('1', '2');
    (ports[0] as FakePort).knows = () => Promise.reject(new Error('no answer'));
    (ports[1] as FakePort).knows = knowing('a');
    const a = find('a');
    await clock.advance(2_000);
    expect([...(await a)]).toEqual([['users', '2']]);
  });

  it('a single instance is not asked: it gets the message anyway', async () => {
    const { clock, ports, find } = hub('1');
    let asked = 0;
    (ports[0] as FakePort).knows = async () => {
      asked++;
      return [];
    };
    const a = find('a');
    await clock.advance(2_000);
    expect([asked, (await a).size]).toEqual([0, 0]);
  });

  it('no question holds more than a relay takes', async () => {
    const { clock, ports, find } = hub('1', '2');
    const sizes: number[] = [];
    (ports[0] as FakePort).knows = async (refs) => {
      sizes.push(refs.length);
      return [];
    };
    const all = Array.from({ length: MAX_AWAITED + 1 }, (_, i) => find(`${i}`));
    await clock.advance(2_000);
    await Promise.all(all);
    expect(sizes).toEqual([MAX_AWAITED, 1]);
  });

  it('a hub that stops asks nobody', async () => {
    const { clock, ports, recovery, find } = hub('1', '2');
    let asked = 0;
    (ports[0] as FakePort).knows = async () => {
      asked++;
      return [];
    };
    void find('a');
    recovery.stop();
    await clock.advance(10_000);
    expect(asked).toBe(0);
  });
});
