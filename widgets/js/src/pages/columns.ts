/** What the runs table shows of a run beside its name, and how it says it. */

import { formatAgo, formatDuration, formatValue } from "../format.ts";
import { isRecord } from "../frame.ts";
import { sharedFolders } from "../source.ts";
import type { Run } from "./api.ts";
import { fieldName } from "./filter.ts";

/** Columns of metrics and of config that stand there without being asked for. */
const SUGGESTED_METRICS = 4;
const SUGGESTED_CONFIG = 2;

export interface Column {
  readonly key: string;
  /** What stands above it. */
  readonly title: string;
  /** All of its name. */
  readonly name: string;
  /** How the API's `order` names it; null where it cannot be sorted by. */
  readonly order: string | null;
  /** The direction that is meant by the first press: newest, largest first; names from A. */
  readonly first: "+" | "-";
  readonly number: boolean;
  readonly text: (run: Run, now: number) => string;
}

export const STATE: Column = {
  key: "state",
  title: "State",
  name: "State",
  order: null,
  first: "+",
  number: false,
  text: ({ state }) => state,
};

export const CREATED: Column = {
  key: "created",
  title: "Created",
  name: "Created",
  order: "created",
  first: "-",
  number: false,
  text: (run, now) => formatAgo(run.created, now),
};

export const DURATION: Column = {
  key: "duration",
  title: "Duration",
  name: "Duration",
  order: "duration",
  first: "-",
  number: true,
  text: (run, now) => duration(run, now),
};

export const HOST: Column = {
  key: "host",
  title: "Host",
  name: "Host",
  order: "host",
  first: "+",
  number: false,
  text: ({ facts = {} }) => (typeof facts.host === "string" ? facts.host : ""),
};

/** What a narrow screen shows below the name, in place of columns. */
export function narrowFacts(run: Run, now: number): string {
  const state = run.state === "finished" ? "" : run.state;
  return [state, CREATED.text(run, now), DURATION.text(run, now), HOST.text(run, now)]
    .filter(Boolean)
    .join(" · ");
}

/** The columns that a reader chose; the titles of metrics leave out the folders that all of them share. */
export function chosenColumns(keys: readonly string[]): Column[] {
  const metrics = keys.filter((key) => key.startsWith("summary."));
  const shared = sharedFolders(metrics.map((key) => key.split("/").slice(0, -1)));
  const columns = keys.map((key) => {
    const column = chosenColumn(key);
    const short = shared && metrics.includes(key);
    return short ? { ...column, title: key.split("/").slice(shared).join("/") } : column;
  });
  const titles = columns.map(({ title }) => title);
  // A metric and a setting may have one name.
  return columns.map((column) => {
    const alone = titles.indexOf(column.title) === titles.lastIndexOf(column.title);
    return alone || !column.key.startsWith("config.") ? column : { ...column, title: column.key };
  });
}

/** A column that a reader can choose: `summary.<metric>` or `config.<path>`. */
function chosenColumn(key: string): Column {
  const dot = key.indexOf(".");
  const title = key.slice(dot + 1);
  if (key.startsWith("config.")) {
    const text = (run: Run) => cellValue(configValue(run.config, title));
    return { key, title, name: title, order: fieldName("config", title), first: "+", number: false, text };
  }
  const text = ({ summary }: Run) => cellValue(summary[title]);
  return { key, title, name: title, order: fieldName("summary", title), first: "-", number: true, text };
}

/** How long a run has taken; one that goes on is measured to now, one that crashed to its last sign of life. */
export function duration({ created, ended, state, heartbeat }: Run, now: number): string {
  const end = ended ?? (state === "running" ? now : (heartbeat ?? null));
  return end === null ? "" : formatDuration(Math.max(0, end - created));
}

export function cellValue(value: unknown): string {
  if (typeof value === "number") return formatValue(value);
  if (value === "Infinity") return "∞";
  if (value === "-Infinity") return "−∞";
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Every metric of these runs: those that most of them have first, and `loss` before `grad/norm/conv1`. */
export function metricsOf(runs: readonly Run[]): string[] {
  const isNumber = (value: unknown) =>
    typeof value === "number" || value === "NaN" || /^-?Infinity$/.test(String(value));
  return ranked(
    runs.map(({ summary }) => Object.entries(summary).filter(([, value]) => isNumber(value))),
    "/",
  );
}

/** Every setting of these runs that fits a cell, nested ones as `model.depth`, in the same order. */
export function settingsOf(runs: readonly Run[]): string[] {
  return ranked(
    runs.map(({ config }) => leaves(config)),
    ".",
  );
}

/** What stands in the table until a reader chooses: what tells runs apart before what is the same in all. */
export function suggested(runs: readonly Run[]): string[] {
  const metrics = metricsOf(runs);
  const [differing, same] = [true, false].map((wanted) =>
    metrics.filter((key) => differs(runs.map(({ summary }) => summary[key])) === wanted),
  );
  const settings = settingsOf(runs).filter((key) =>
    differs(runs.map(({ config }) => configValue(config, key))),
  );
  return [
    ...[...differing, ...same].slice(0, SUGGESTED_METRICS).map((key) => `summary.${key}`),
    ...settings.slice(0, SUGGESTED_CONFIG).map((key) => `config.${key}`),
  ];
}

/** The setting of a path; a key may have dots of its own. */
export function configValue(config: Record<string, unknown>, path: string): unknown {
  if (Object.hasOwn(config, path)) return config[path];
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    const inner = config[path.slice(0, dot)];
    const found = isRecord(inner) ? configValue(inner, path.slice(dot + 1)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function leaves(config: Record<string, unknown>, prefix = ""): [string, unknown][] {
  return Object.entries(config).flatMap(([key, value]): [string, unknown][] => {
    if (isRecord(value)) return leaves(value, `${prefix}${key}.`);
    return value === null || Array.isArray(value) ? [] : [[prefix + key, value]];
  });
}

function ranked(entries: readonly (readonly [string, unknown][])[], separator: string): string[] {
  const counts = new Map<string, number>();
  for (const [key] of entries.flat()) counts.set(key, (counts.get(key) ?? 0) + 1);
  const naturally = new Intl.Collator("en", { numeric: true });
  const depth = (key: string) => key.split(separator).length;
  return [...counts]
    .sort(([a, m], [b, n]) => n - m || depth(a) - depth(b) || naturally.compare(a, b))
    .map(([key]) => key);
}

function differs(values: readonly unknown[]): boolean {
  return new Set(values.filter((value) => value !== undefined).map(String)).size > 1;
}

/** The columns that a reader chose for a project, or null. */
export function keptColumns(project: string): string[] | null {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(storageKey(project)) ?? "null");
    return Array.isArray(kept) ? kept.filter((each) => /^(summary|config)\./.test(each)) : null;
  } catch {
    return null;
  }
}

export function keepColumns(project: string, columns: readonly string[]): void {
  try {
    localStorage.setItem(storageKey(project), JSON.stringify(columns));
  } catch {
    // A browser that keeps nothing suggests columns again.
  }
}

function storageKey(project: string): string {
  return `runcast-columns:${project}`;
}
