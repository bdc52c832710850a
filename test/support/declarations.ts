/** What the built declarations show of an exported class or interface: its members by name, inherited ones too. */
import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { isNode, type Node, nodesIn, parse } from './source-tree.js';

const nameOf = (node: unknown): string => (isNode(node) ? String(node.name ?? node.value) : '');

const OF_THE_LANGUAGE: Readonly<Record<string, readonly string[]>> = {
  AsyncDisposable: ['[Symbol.asyncDispose]'],
};

export class Declarations {
  readonly #root: string;
  readonly #trees = new Map<string, readonly Node[]>();

  /** @param root the folder of the built package, with `index.d.ts` in it */
  constructor(root: string) {
    if (!existsSync(join(root, 'index.d.ts')))
      throw new Error(`there is no ${root}: run 'npm run build' first`);
    this.#root = root;
  }

  /** The members that a program sees, or a class that extends this one: those count as `protected name`. */
  membersOf(name: string, file = 'index'): Set<string> {
    if (Object.hasOwn(OF_THE_LANGUAGE, name)) return new Set(OF_THE_LANGUAGE[name]);
    const { from, declared } = this.#find(name, file);
    const own = declared.flatMap(({ body }) => nodesIn((body as Node).body).map(shownName));
    const parents = declared.flatMap((declaration) => [
      ...nodesIn(declaration.superClass),
      ...nodesIn(declaration.extends).flatMap(({ expression }) => nodesIn(expression)),
    ]);
    const inherited = parents.flatMap((parent) => [...this.membersOf(nameOf(parent), from)]);
    const all = [...own, ...inherited.filter((member) => member !== 'constructor')];
    return new Set(all.filter((member) => member !== undefined));
  }

  /** Follows imports and re-exports of ours to where a class or an interface is declared: it may be both. */
  #find(name: string, file: string): { from: string; declared: Node[] } {
    const statements = this.#statements(file);
    const declared = statements
      .map((node) => nodesIn(node.declaration)[0] ?? node)
      .filter(
        (node) => /^(ClassDeclaration|TSInterfaceDeclaration)$/.test(node.type) && nameOf(node.id) === name,
      );
    if (declared.length > 0) return { from: file, declared };
    for (const { source, specifiers } of statements) {
      const path = nodesIn(source)[0]?.value;
      if (typeof path !== 'string' || !path.startsWith('.')) continue;
      const named = nodesIn(specifiers).find(({ local, exported }) => nameOf(exported ?? local) === name);
      if (named === undefined) continue;
      const next = posix.join(posix.dirname(file), path).replace(/\.js$/, '');
      return this.#find(nameOf(named.imported ?? named.local), next);
    }
    throw new Error(`${file}.d.ts declares no class or interface ${name}`);
  }

  #statements(file: string): readonly Node[] {
    let tree = this.#trees.get(file);
    if (tree === undefined) {
      tree = nodesIn(parse(readFileSync(join(this.#root, `${file}.d.ts`), 'utf8')).body);
      this.#trees.set(file, tree);
    }
    return tree;
  }
}

/** Undefined for what is private, and for a constructor that takes nothing: that shows nothing. */
function shownName(member: Node): string | undefined {
  const { key, accessibility, computed, value } = member;
  if (accessibility === 'private' || !isNode(key) || key.type === 'PrivateIdentifier') return undefined;
  const name =
    computed && isNode(key.object) ? `[${nameOf(key.object)}.${nameOf(key.property)}]` : nameOf(key);
  if (name === 'constructor') return isNode(value) && nodesIn(value.params).length > 0 ? name : undefined;
  return accessibility === 'protected' ? `protected ${name}` : name;
}
