// Outcomes: a command between services seldom just works or fails. The reply's name says how it went.
import { ExoCom } from 'nyota/exocom';
import { ExoRelay } from 'nyota/exorelay';

const exoCom = new ExoCom();
await new Promise((resolve) => exoCom.listen(0, '127.0.0.1', resolve));
const exocom = { exocomHost: '127.0.0.1', exocomPort: exoCom.address().port };

const accounts = new ExoRelay({ ...exocom, serviceName: 'accounts' });
const balances = new Map([
  ['checking', 3_000],
  ['savings', 0],
]);
const TRANSACTION_LIMIT = 2_000;
const DAILY_LIMIT = 2_500;
let today = 0;

accounts.registerHandler('transfer', (order, { reply, auth }) => {
  try {
    const { amount, from, to } = order;
    if (auth !== 'ada') return reply('unauthorized');
    if (!(amount > 0)) throw new RangeError('an amount is a number above 0');
    const balance = balances.get(from);
    if (balance === undefined || !balances.has(to)) return reply('unknown account');
    if (amount > TRANSACTION_LIMIT) return reply('transaction limit exceeded', { limit: TRANSACTION_LIMIT });
    if (today + amount > DAILY_LIMIT) return reply('daily limit exceeded', { left: DAILY_LIMIT - today });
    if (amount > balance) return reply('insufficient funds', { missing: amount - balance });
    if (order.reviewed === false) return reply('pending', { approval: 'the owner' });
    balances.set(from, balance - amount);
    balances.set(to, balances.get(to) + amount);
    today += amount;
    reply('transferred', { balance: balance - amount });
  } catch {
    reply('internal error');
  }
});
accounts.connect();

const web = new ExoRelay({ ...exocom, serviceName: 'web' });
web.connect();

async function transfer(order, auth = 'ada') {
  const { outcome, payload } = await web.request(
    'transfer',
    { from: 'checking', to: 'savings', ...order },
    { auth },
  );
  switch (outcome) {
    case 'transferred':
      return `the money was transferred, ${payload.balance} are left`;
    case 'pending':
      return `the transfer was initiated, and awaits the approval of ${payload.approval}`;
    case 'transaction limit exceeded':
      return `at most ${payload.limit} can be transferred at once`;
    case 'daily limit exceeded':
      return `today only ${payload.left} more can be transferred`;
    case 'insufficient funds':
      return `there are ${payload.missing} too little in the account`;
    case 'unknown account':
      return 'one of the accounts was not found';
    case 'unauthorized':
      return 'this user may not make this transfer';
    case 'internal error':
      return 'something went wrong in the accounting service';
    default:
      throw new Error(`no such outcome: ${outcome}`);
  }
}

console.log(await transfer({ amount: 1_000 }));
// prints: the money was transferred, 2000 are left
console.log(await transfer({ amount: 100, reviewed: false }));
// prints: the transfer was initiated, and awaits the approval of the owner
console.log(await transfer({ amount: 5_000 }));
// prints: at most 2000 can be transferred at once
console.log(await transfer({ amount: 1_900 }));
// prints: today only 1500 more can be transferred
console.log(await transfer({ amount: 1_200, from: 'savings', to: 'checking' }));
// prints: there are 200 too little in the account
console.log(await transfer({ amount: 100, to: 'holidays' }));
// prints: one of the accounts was not found
console.log(await transfer({ amount: 100 }, 'bob'));
// prints: this user may not make this transfer
console.log(await transfer({ amount: 'much' }));
// prints: something went wrong in the accounting service

await web.close();
await accounts.close();
await exoCom.close();
