/**
 * What nobody uses: files, exports, dependencies. `knip` looks at everything, and wants no `export` that its file alone needs.
 * `knip --production` looks at what is shipped (the patterns with a `!`), and finds what only tests use; there a file may
 * export to a test what it uses itself.
 *
 * @param {{ production?: boolean }} options
 * @returns {import('knip').KnipConfig}
 */
export default ({ production = false }) => ({
  // For checks that look behind the public classes.
  tags: production ? ['-testonly'] : [],
  ignoreExportsUsedInFile: production,
  workspaces: {
    '.': {
      entry: [
        'bench/main.ts',
        // Loaded by their names.
        'bench/measures/*.ts',
        'docs/examples/**/*.mjs',
        'scripts/*.js',
        'test/{fuzz,simulation}/main.ts',
        'test/support/exo-storm-child.mjs',
        'test/types/*.ts',
      ],
      project: [
        'src/**/*.ts!',
        'bench/*.ts',
        'docs/examples/**/*.mjs',
        'scripts/*.js',
        'test/**/*.{ts,js,mjs}',
      ],
      // Run by their paths, on the packed package.
      ignoreDependencies: ['@arethetypeswrong/cli', 'publint'],
      // What needs them is skipped where they are missing.
      ignoreBinaries: ['ip', 'unshare'],
    },
    'bench/peers': { entry: ['*.js!'] },
  },
});
