/**
 * Certificates for the tests of TLS, made anew for each file that asks: an authority, a server for `localhost` and 127.0.0.1,
 * one for another name, a client, and a client of an authority that nobody trusts.
 */
import { generate } from 'selfsigned';

interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

export interface Certificates {
  /** The authority's certificate, in PEM. */
  readonly ca: string;
  readonly server: KeyPair;
  /** Signed by the same authority, for `elsewhere.example`. */
  readonly misnamed: KeyPair;
  /** The common name is `web-1`. */
  readonly client: KeyPair;
  /** Of another authority. */
  readonly stranger: KeyPair;
}

type Names = Array<{ type: 2; value: string } | { type: 7; ip: string }>;

const DAY_MS = 24 * 60 * 60 * 1000;

async function authority(name: string): Promise<KeyPair> {
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, digitalSignature: true, critical: true },
    ],
  });
  return { key: made.private, cert: made.cert };
}

async function signed(name: string, altNames: Names, ca: KeyPair): Promise<KeyPair> {
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + DAY_MS),
    ca,
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      { name: 'subjectAltName', altNames },
    ],
  });
  return { key: made.private, cert: made.cert };
}

export async function makeCertificates(): Promise<Certificates> {
  const ca = await authority('nyota test authority');
  const other = await authority('another authority');
  const localhost: Names = [
    { type: 2, value: 'localhost' },
    { type: 7, ip: '127.0.0.1' },
  ];
  return {
    ca: ca.cert,
    server: await signed('localhost', localhost, ca),
    misnamed: await signed('elsewhere.example', [{ type: 2, value: 'elsewhere.example' }], ca),
    client: await signed('web-1', [{ type: 2, value: 'web-1' }], ca),
    stranger: await signed('web-1', [{ type: 2, value: 'web-1' }], other),
  };
}
