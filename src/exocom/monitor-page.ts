/**
 * What the monitor port shows: `/config.json`, `/metrics`, `/healthz` and `/readyz`. Plain node:http; it reads, and
 * changes nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { MetricsPage } from './metrics.js';

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
      body: `${error instanceof Error ? error.message : String(error)}\n`,
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
