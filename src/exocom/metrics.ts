/**
 * The hub's counts in Prometheus' text format, by `prom-client`, which is loaded when somebody asks for them first.
 */
import type { Counter, Gauge } from 'prom-client';
import { NyotaError } from '../index.js';
import type { Exchange } from './exchange.js';

/** What `/metrics` answers with. */
export interface MetricsPage {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Seconds. */
const RESPONSE_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];

/** @throws NyotaError `NYOTA_INVALID_OPTION` where prom-client is not installed */
export async function createMetrics(exchange: Exchange, now: () => number): Promise<MetricsPage> {
  const { Counter, Gauge, Histogram, Registry } = await loadClient();
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string, ...labelNames: string[]): Counter =>
    new Counter({ name: `exocom_${name}_total`, help, labelNames, registers });
  const gauge = (name: string, help: string, ...labelNames: string[]): Gauge =>
    new Gauge({ name: `exocom_${name}`, help, labelNames, registers });

  const all = {
    routed: counter('messages', 'Messages passed on', 'sender', 'message', 'receiver'),
    routeErrors: counter('route_errors', 'Handlers that failed, by route', 'sender', 'message', 'receiver'),
    sent: counter('sent', 'Messages that came from a role', 'role'),
    received: counter('received', 'Messages passed on to a role', 'role'),
    refused: counter('refused', 'Messages of a role that were refused', 'role', 'code'),
    errors: counter('handler_errors', 'Handlers of a role that failed', 'role'),
    redelivered: counter('redelivered', 'Messages a role got a second time', 'role'),
    alarms: counter('alarms', 'Alarms about a role', 'role'),
    rate: gauge('message_rate', 'Messages a second from a role, over ten seconds', 'role'),
    instances: gauge('instances', 'Registered instances of a role', 'role'),
    inFlight: gauge('in_flight_messages', 'Messages that a role has and has not handled', 'role'),
    queued: gauge('queue_messages', 'Messages that wait for a role', 'role'),
    queuedBytes: gauge('queue_bytes', 'Their bytes, about', 'role'),
    unclaimed: gauge('unclaimed_messages', 'Messages that no service has a handler for yet'),
  };
  const responses = new Histogram({
    name: 'exocom_response_seconds',
    help: 'From a request to a reply, by who asked and who replied',
    labelNames: ['asker', 'replier'],
    buckets: RESPONSE_BUCKETS,
    registers,
  });
  exchange.monitor.observe((asker, replier, ms) => responses.observe({ asker, replier }, ms / 1000));

  const collect = (): void => {
    for (const metric of Object.values(all)) metric.reset();
    for (const { sender, name, receiver, messages, errors } of exchange.monitor.routes()) {
      const labels = { sender, message: name, receiver };
      all.routed.inc(labels, messages);
      all.routeErrors.inc(labels, errors);
    }
    for (const [role, traffic] of Object.entries(exchange.monitor.roles(now()))) {
      all.sent.inc({ role }, traffic.sent);
      all.received.inc({ role }, traffic.received);
      all.errors.inc({ role }, traffic.errors);
      all.redelivered.inc({ role }, traffic.redelivered);
      all.alarms.inc({ role }, traffic.alarms);
      all.rate.set({ role }, traffic.rate);
      for (const [code, count] of Object.entries(traffic.refused)) all.refused.inc({ role, code }, count);
    }
    for (const role of exchange.roster.roles) {
      const instances = exchange.roster.of(role);
      all.instances.set({ role }, instances.length);
      all.inFlight.set(
        { role },
        instances.reduce((sum, { inFlight }) => sum + inFlight, 0),
      );
    }
    for (const [role, { messages, bytes }] of exchange.dispatcher.queued()) {
      all.queued.set({ role }, messages);
      all.queuedBytes.set({ role }, bytes);
    }
    all.unclaimed.set(exchange.unclaimed.messages);
  };
  const text = (): Promise<string> => {
    collect();
    return registry.metrics();
  };
  return { contentType: registry.contentType, text };
}

async function loadClient(): Promise<typeof import('prom-client')> {
  try {
    const loaded = await import('prom-client');
    return loaded.default ?? loaded;
  } catch (cause) {
    throw new NyotaError(
      'NYOTA_INVALID_OPTION',
      "/metrics needs the package 'prom-client': npm install prom-client",
      { cause },
    );
  }
}
