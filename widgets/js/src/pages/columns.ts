/** What the runs table shows of a run beside its name, and how it says it. */

import { formatAgo, formatDuration, formatValue } from "../format.ts";
import type { Run } from "./api.ts";
import { metricField } from "./filter.ts";

/** Metric columns that are chosen without being asked for. */
const SUGGESTED = 4;

export interface Column {
  readonly key: string;
  readonly title: string;
  /** How the API's `order` names it; null where it cannot be sorted by. */
  readonly order: string | null;
  /** The direction that is meant by the first press: newest, largest first; names from A. */
  readonly first: "+" | "-";
  readonly number: boolean;
  readonly text: (run: Run, now: number) => string;
}

export const CREATED: Column = {
  key: "created",
  title: "Created",
  order: "created",
  first: "-",
  number: false,
  text: (run, now) => formatAgo(run.created, now),
};

export const DURATION: Column = {
  key: "duration",
  title: "Duration",
  order: null,
  first: "-",
  number: true,
  text: (run, now) => duration(run, now),
};

export const HOST: Column = {
  key: "host",
  title: "Host",
  order: null,
  first: "+",
  number: false,
  text: ({ facts = {} }) => (typeof facts.host === "string" ? facts.host : ""),
};

export function metricColumn(key: string): Column {
  return {
    key: `summary.${key}`,
    title: key,
    order: metricField(key),
    first: "-",
    number: true,
    text: ({ summary }) => cellValue(summary[key]),
  };
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
  const counts = new Map<string, number>();
  for (const { summary } of runs) {
    for (const [key, value] of Object.entries(summary)) {
      const numeric = typeof value === "number" || value === "NaN" || /^-?Infinity$/.test(String(value));
      if (numeric) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  const naturally = new Intl.Collator("en", { numeric: true });
  const depth = (key: string) => key.split("/").length;
  return [...counts]
    .sort(([a, m], [b, n]) => n - m || depth(a) - depth(b) || naturally.compare(a, b))
    .map(([key]) => key);
}

export function suggested(metrics: readonly string[]): string[] {
  return metrics.slice(0, SUGGESTED);
}

/** The columns that a reader chose for a project, or null. */
export function keptColumns(project: string): string[] | null {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(storageKey(project)) ?? "null");
    return Array.isArray(kept) ? kept.filter((each) => typeof each === "string") : null;
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
