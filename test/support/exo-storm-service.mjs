/**
 * The service of the storm test, in this process or in one of its own: works a moment, writes down what it began and what it
 * finished (before anybody else can know), and answers. One of three asks another one on the way.
 */
import { appendFileSync } from 'node:fs';

/**
 * @param {import('../../src/exorelay/index.js').ExoRelay} relay
 * @param {{ role: string, next: string, instance: string, log: string }} service
 */
export function serve(relay, { role, next, instance, log }) {
  /** @param {string} what @param {string} id @param {string} key @param {boolean} redelivered */
  const write = (what, id, key, redelivered) => {
    const at = performance.timeOrigin + performance.now();
    appendFileSync(log, `${JSON.stringify({ what, id, key, redelivered, instance, at })}\n`);
  };
  relay.registerHandler(`${role} work`, async (key, { id, reply, request, redelivered }) => {
    write('begin', id, key, redelivered);
    await new Promise((resolve) => setTimeout(resolve, key.length % 3));
    if (key.endsWith('0')) await request(`${next} work`, `${key} nested`);
    write('end', id, key, redelivered);
    reply(`${role} done`, { key, instance });
  });
}
