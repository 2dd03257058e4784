import type { SeriesKey } from "./series.ts";

/** What draws in one colour: an event file's folder in a root. */
export interface Source {
  readonly root: string;
  readonly source: string;
}

/** The root of what the run itself writes. */
export const OWN = "own";

export function sourceId({ root, source }: Source): string {
  return `${root}\n${source}`;
}

/** Whether the run itself measured this: CPU, memory, GPU. */
export function isSystem({ root, source }: Source): boolean {
  return root === OWN && source === "system";
}

/** Whether a chart of lines can show it. */
export function isScalar({ plugin }: SeriesKey): boolean {
  return plugin === "scalars";
}

/**
 * Short labels that tell the sources apart: paths without the leading folders that all of them share.
 *
 * A source that is itself the shared folder keeps that folder's name.
 */
export function sourceLabels(sources: readonly Source[]): Map<string, string> {
  const paths = new Map(
    sources.filter(({ root }) => root !== OWN).map((source) => [sourceId(source), path(source)]),
  );
  const shared = sharedFolders([...paths.values()]);
  const labels = new Map<string, string>();
  for (const source of sources) {
    const parts = paths.get(sourceId(source));
    if (parts) labels.set(sourceId(source), parts.slice(shared).join("/") || parts.at(-1) || ".");
    else labels.set(sourceId(source), source.source === "log" ? "run.log" : source.source);
  }
  return labels;
}

function path({ root, source }: Source): string[] {
  const parts = source.split("/").filter((part) => part && part !== ".");
  return root === "cwd" || root === "abs" ? parts : [root, ...parts];
}

/** How many leading folders all of these paths share. */
export function sharedFolders(paths: readonly string[][]): number {
  if (paths.length === 0) return 0;
  const shortest = Math.min(...paths.map((parts) => parts.length));
  let shared = 0;
  while (shared < shortest && paths.every((parts) => parts[shared] === paths[0][shared])) shared++;
  return shared;
}
