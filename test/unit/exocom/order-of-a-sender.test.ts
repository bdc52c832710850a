/** What one sender sent stays in order while some of it is being decided over. */
import { describe, expect, it } from 'vitest';
import { InOrder } from '../../../src/exocom/exchange.js';

describe('the order of what one sender sent', () => {
  it('is kept however the decisions fall', () => {
    const order = new InOrder();
    const ran: number[] = [];
    const tickets = [0, 1, 2, 3].map((n) => order.enter(5, () => ran.push(n)));
    tickets[2]?.open();
    tickets[1]?.drop();
    expect(ran).toEqual([]);
    expect([order.length, order.bytes]).toEqual([4, 20]);
    tickets[0]?.open();
    expect(ran).toEqual([0, 2]);
    tickets[0]?.drop();
    tickets[3]?.open();
    expect(ran).toEqual([0, 2, 3]);
    expect([order.length, order.bytes]).toEqual([0, 0]);
  });

  it('holds where something that runs adds more', () => {
    const order = new InOrder();
    const ran: string[] = [];
    const first = order.enter(1, () => {
      ran.push('first');
      order.enter(1, () => ran.push('third')).open();
    });
    const second = order.enter(1, () => ran.push('second'));
    second.open();
    first.open();
    expect(ran).toEqual(['first', 'second', 'third']);
  });
});
