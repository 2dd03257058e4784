// Bundle the panel and the server's pages: `node build.mjs [FOLDER]`, by default into ../static.
// panel.js is the module that anywidget imports; static.js is the script inside a saved notebook. Of the pages, early.js runs
// before anything is painted, pages.js and pages.css are the rest.

import { copyFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = process.argv[2] ?? fileURLToPath(new URL("../static", import.meta.url));
const target = ["es2022", "chrome105", "firefox110", "safari16"];

/** `import css from "./x.css"` gives the minified text, with nesting written out for older browsers. */
const cssAsText = {
  name: "css-as-text",
  setup(bundler) {
    bundler.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { outputFiles } = await build({ entryPoints: [path], minify: true, target, write: false });
      return { contents: outputFiles[0].text.trim(), loader: "text", watchFiles: [path] };
    });
  },
};

const shared = {
  absWorkingDir: here,
  outdir: folder,
  bundle: true,
  minify: true,
  target,
  charset: "utf8",
  legalComments: "none",
};
const plugins = [cssAsText];
await Promise.all([
  build({ ...shared, plugins, entryPoints: { panel: "src/widget.ts" }, format: "esm" }),
  build({ ...shared, plugins, entryPoints: { static: "src/static.ts" }, format: "iife" }),
  build({
    ...shared,
    entryPoints: { pages: "src/pages/main.ts", early: "src/pages/early.ts" },
    format: "iife",
  }),
  build({ ...shared, entryPoints: { pages: "src/pages/pages.css" } }),
]);
await copyFile(`${here}/src/pages/icon.svg`, `${folder}/icon.svg`);
