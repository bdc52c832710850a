/**
 * What every durable SessionStore does, as a list of cases for any test runner: the interface's promises, executable. nyota's
 * own stores pass it. Run it on a store of your own before you trust it with sessions. May import the cases and the package's
 * entry.
 */
import { CaseStores, type SessionStorePlace } from './store-case.js';
import { lifeCases } from './store-cases-life.js';
import { stepCases } from './store-cases-steps.js';

export interface SessionStoreCase {
  readonly name: string;
  /** Rejects with an AssertionError where the store does something else. */
  run(): Promise<void>;
}

/**
 * `for (const { name, run } of sessionStoreContract(makePlace)) test(name, run);`
 * @param makePlace called once for each case: an empty place
 */
export function sessionStoreContract(makePlace: () => SessionStorePlace): readonly SessionStoreCase[] {
  return [...lifeCases, ...stepCases].map(([name, run]) => ({
    name,
    run: async () => {
      const stores = new CaseStores(makePlace());
      try {
        await run(stores);
      } finally {
        await stores.clear();
      }
    },
  }));
}
