import { expect, test } from "vitest";
import { formatAgo, formatBytes, formatDuration, formatTick, formatValue } from "../src/format.ts";
import { logTicks, roomyRange, tightRange } from "../src/scale.ts";
import { tagFilter } from "../src/settings.ts";
import { sourceId, sourceLabels } from "../src/source.ts";
import { systemChart, systemLabel, systemTitle, unitOf } from "../src/system_tag.ts";

function labels(...places: [root: string, source: string][]): (string | undefined)[] {
  const sources = places.map(([root, source]) => ({ root, source }));
  const found = sourceLabels(sources);
  return sources.map((source) => found.get(sourceId(source)));
}

test("labels leave out the folders that all sources share", () => {
  expect(labels(["runs", "mnist/a/train"], ["runs", "mnist/a/val"])).toEqual(["train", "val"]);
  expect(labels(["runs", "a/train"], ["runs", "b/train"])).toEqual(["a/train", "b/train"]);
});

test("a source that is the shared folder keeps its name", () => {
  expect(labels(["logs", "."])).toEqual(["logs"]);
  expect(labels(["logs", "."], ["logs", "val"])).toEqual(["logs", "val"]);
  expect(labels(["cwd", "runs/Nov23_12-00-00"])).toEqual(["Nov23_12-00-00"]);
});

test("what the run itself logs is called run.log and shortens nothing", () => {
  expect(labels(["logs", "a/train"], ["own", "log"], ["logs", "a/val"])).toEqual(["train", "run.log", "val"]);
});

test("the same source in two roots has two labels", () => {
  expect(labels(["logs", "train"], ["logs~2", "train"])).toEqual(["logs/train", "logs~2/train"]);
});

test("a filter is a regular expression, whatever the case", () => {
  const { matches, problem } = tagFilter("^LOSS/|acc");
  expect(["loss/a", "val/loss", "top_acc"].map(matches)).toEqual([true, false, true]);
  expect(problem).toBeNull();
});

test("half a regular expression hides nothing and says what is wrong", () => {
  const { matches, problem } = tagFilter("loss(");
  expect(matches("anything")).toBe(true);
  expect(problem).toMatch(/^not a regular expression yet: .+/);
});

test("values are short and never misleading", () => {
  const values = [0, 0.031_249_9, 1.5, -12_345.6, 1.2e-7, 3e9, Number.NaN, Number.NEGATIVE_INFINITY];
  expect(values.map(formatValue)).toEqual(["0", "0.03125", "1.5", "−12,346", "1.2e−7", "3e9", "NaN", "−∞"]);
});

test("ticks that are neighbours never read the same", () => {
  expect([0.25, 0.5, 0.75].map((tick) => formatTick(tick, 0.25))).toEqual(["0.25", "0.50", "0.75"]);
  expect([20_000, 22_500].map((tick) => formatTick(tick, 2_500))).toEqual(["20.0k", "22.5k"]);
  expect([1, 2].map((tick) => formatTick(tick, 1))).toEqual(["1", "2"]);
});

test("durations, sizes and times ago read as people say them", () => {
  const plain = (text: string) => text.replaceAll(" ", " ");
  expect([0.25, 92, 3_725, 90_000].map(formatDuration).map(plain)).toEqual([
    "0.25 s",
    "1 m 32 s",
    "1 h 02 m",
    "1 d 1 h",
  ]);
  expect([812, 1_234_567].map(formatBytes).map(plain)).toEqual(["812 B", "1.23 MB"]);
  expect([1, 3, 130].map((ago) => plain(formatAgo(1_000, 1_000 + ago)))).toEqual([
    "just now",
    "3 s ago",
    "2 min ago",
  ]);
});

test("an axis has room for a constant, for a single point and for nothing", () => {
  expect(roomyRange(3, 3, false)).toEqual([2.7, 3.3]);
  expect(roomyRange(0, 0, false)).toEqual([-1, 1]);
  expect(roomyRange(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, false)).toEqual([0, 1]);
  expect(roomyRange(0.1, 0.1, true)[0]).toBeGreaterThan(0);
  expect(tightRange(7, 7)).toEqual([6, 8]);
});

test("a logarithmic axis has ticks over many decades, over few and within one", () => {
  expect(logTicks(1e-9, 1e-1, 5)).toEqual(
    [1e-9, 1e-7, 1e-5, 1e-3, 1e-1].map((tick) => expect.closeTo(tick, 12)),
  );
  expect(logTicks(0.8, 30, 6)).toEqual([1, 2, 5, 10, 20]);
  const within = logTicks(0.121, 0.149, 4);
  expect(within.length).toBeGreaterThanOrEqual(2);
  expect(within.every((tick) => tick >= 0.121 && tick <= 0.149)).toBe(true);
});

test("system metrics have titles in words and units", () => {
  expect(["cpu/percent", "gpu0/utilization_percent", "memory/process_rss_gb"].map(systemTitle)).toEqual([
    "CPU",
    "GPU 0 utilization",
    "Memory process RSS",
  ]);
  expect(["disk/read_mb_s", "cpu/percent", "process/threads"].map(unitOf)).toEqual([" MB/s", " %", ""]);
});

test("cores share a chart, and so do GPUs, with a line for each", () => {
  const tags = ["cpu/core00_percent", "cpu/core11_percent", "cpu/percent", "gpu0/power_w", "gpu1/power_w"];
  expect(tags.map(systemChart)).toEqual([
    "cpu/cores_percent",
    "cpu/cores_percent",
    "cpu/percent",
    "gpu/power_w",
    "gpu/power_w",
  ]);
  expect(tags.map(systemLabel)).toEqual(["core 0", "core 11", "cpu/percent", "GPU 0", "GPU 1"]);
  expect(["cpu/cores_percent", "gpu/power_w", "notebook/cell"].map(systemTitle)).toEqual([
    "CPU cores",
    "GPU power",
    "Notebook cell",
  ]);
});
