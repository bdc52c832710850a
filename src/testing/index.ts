/**
 * The public entry `nyota/testing`: what nyota is tested with, for the tests of services that use it.
 * docs/testing.md shows each at work. Exports by name only.
 */

export type { Clock, ClockTimer } from '../clock.js';
export type { Direction, OneWay } from './direction.js';
export { createFakeClock, type FakeClock, type FakeClockOptions } from './fake-clock.js';
export {
  type CutAfterOptions,
  createFaultProxy,
  type FaultProxy,
  type FaultProxyConnection,
  type FaultProxyEvents,
  type FaultProxyOptions,
  type FaultProxyTotals,
} from './fault-proxy.js';
export type { MemoryConnection, MemoryFaults, MemorySocket } from './memory-connection.js';
export {
  createLink,
  createMemoryNetwork,
  type MemoryConnectOptions,
  type MemoryNetwork,
  type MemoryNetworkOptions,
} from './memory-network.js';
export type { MemoryServer, MemoryServerOptions } from './memory-server.js';
export {
  MockExoCom,
  type MockExoComOptions,
  type MockMessage,
  type MockSent,
  type ReceivedMessage,
} from './mock-exocom.js';
export { seededRandom } from './seeded-random.js';
export {
  type SessionStoreCase,
  sessionStoreContract,
} from './session-store-contract.js';
export {
  createSimulation,
  type Simulation,
  type SimulationEntry,
  type SimulationFault,
  type SimulationFaultOptions,
  type SimulationOptions,
} from './simulation.js';
export type { SessionStorePlace } from './store-case.js';
