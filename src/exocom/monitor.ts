/**
 * What the monitor port shows: `/config.json`, `/metrics`, `/healthz` and `/readyz`. Plain node:http, and prom-client for
 * the figures; it reads the exchange, and changes nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Counter, Gauge } from 'prom-client';
import { textOf } from '../errors.js';
import { NyotaError } from '../index.js';
import type { Exchange } from './exchange.js';

export interface MonitorSource {
  /** Clients with their instances, and the routes. */
  config(): unknown;
  /** Rejects where there is nothing to make them with. */
  metrics(): Promise<MetricsPage>;
  ready(): boolean;
  failed(error: Error): void;
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export type MonitorAddress = Exclude<ReturnType<Server['address']>, string>;

const PLAIN = 'text/plain; charset=utf-8';
/** A request that takes longer to arrive is let go. */
const REQUEST_TIMEOUT_MS = 10_000;

export class MonitorServer {
  readonly #source: MonitorSource;
  readonly #server: Server;

  constructor(source: MonitorSource) {
    this.#source = source;
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      void this.#answer(request, response);
    });
    this.#server.on('error', (error) => source.failed(error));
  }

  /** Resolves once it listens; rejects with what keeps it from that. */
  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  address(): MonitorAddress {
    const address = this.#server.address();
    return typeof address === 'string' ? null : address;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, type, body } = await this.#page(request).catch((error: unknown) => ({
      status: 500,
      type: PLAIN,
      body: `${textOf(error)}\n`,
    }));
    const headers = {
      'content-type': type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    };
    response.writeHead(status, status === 405 ? { ...headers, allow: 'GET, HEAD' } : headers);
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #page({ method, url = '/' }: IncomingMessage): Promise<Page> {
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, type: PLAIN, body: 'only GET\n' };
    const path = url.split('?', 1)[0];
    if (path === '/config.json') {
      const body = `${JSON.stringify(this.#source.config(), undefined, 2)}\n`;
      return { status: 200, type: 'application/json; charset=utf-8', body };
    }
    if (path === '/metrics') {
      const metrics = await this.#source.metrics();
      return { status: 200, type: metrics.contentType, body: await metrics.text() };
    }
    if (path === '/healthz') return { status: 200, type: PLAIN, body: 'ok\n' };
    if (path === '/readyz') {
      const ready = this.#source.ready();
      return { status: ready ? 200 : 503, type: PLAIN, body: ready ? 'ready\n' : 'not ready\n' };
    }
    return { status: 404, type: PLAIN, body: 'nothing here\n' };
  }
}

// The counts in Prometheus' text format, by prom-client, which is loaded when somebody asks for them first.

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
  exchange.traffic.observe((asker, replier, ms) => responses.observe({ asker, replier }, ms / 1000));

  const collect = (): void => {
    for (const metric of Object.values(all)) metric.reset();
    for (const { sender, name, receiver, messages, errors } of exchange.traffic.routes()) {
      const labels = { sender, message: name, receiver };
      all.routed.inc(labels, messages);
      all.routeErrors.inc(labels, errors);
    }
    for (const [role, traffic] of Object.entries(exchange.traffic.roles(now()))) {
      all.sent.inc({ role }, traffic.sent);
      all.received.inc({ role }, traffic.received);
      all.errors.inc({ role }, traffic.errors);
      all.redelivered.inc({ role }, traffic.redelivered);
      all.alarms.inc({ role }, traffic.alarms);
      all.rate.set({ role }, traffic.rate);
      for (const [code, count] of Object.entries(traffic.refused)) all.refused.inc({ role, code }, count);
    }
    for (const role of exchange.instances.roles) {
      const instances = exchange.instances.of(role);
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
