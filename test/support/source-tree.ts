/**
 * A TypeScript source, or a declaration file, read as a syntax tree: what a module imports, with what is only a type. Parsed by
 * the parser that vitest brings, since TypeScript 7 has no stable API of its own.
 */
import { posix } from 'node:path';
import { parseAst } from 'vitest/node';

/** A node of the ESTree; `type` tells what else it has. */
export type Node = { readonly type: string } & Record<string, unknown>;

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

export const nodesIn = (value: unknown): Node[] => (Array.isArray(value) ? value : [value]).filter(isNode);

export function parse(text: string): Node {
  return parseAst(text, { lang: 'ts' }) as unknown as Node;
}

/** Every node in it, itself first, but for the names of members: `a` of `x.a`, of `{ a: 1 }` and of `class { a() {} }`. */
export function* walk(node: Node): Generator<Node> {
  yield node;
  for (const [key, value] of Object.entries(node)) {
    if (!node.computed && (key === 'property' || key === 'key')) continue;
    for (const child of nodesIn(value)) yield* walk(child);
  }
}

/** What `import`, `export from`, `import()` and the type `import('x').T` name. */
function specifierOf(node: Node): string | undefined {
  if (!/^(Import(Declaration|Expression)|Export(All|Named)Declaration|TSImportType)$/.test(node.type)) return;
  const [source] = nodesIn(node.source ?? node.argument);
  const [literal] = nodesIn(source?.literal ?? source);
  return literal && String(literal.value);
}

/**
 * What a module imports, types too: `link/outbox` for one of ours, a package or `node:net` for what is not.
 * @param name the module's own: its path below src, without its ending
 */
export function importsOf(name: string, tree: Node): string[] {
  const specifiers = [...walk(tree)].map(specifierOf).filter((specifier) => specifier !== undefined);
  return specifiers.map((specifier) =>
    specifier.startsWith('.') ? posix.join(posix.dirname(name), specifier).replace(/\.js$/, '') : specifier,
  );
}
