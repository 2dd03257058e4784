import { expect, test } from "vitest";
import { Selection } from "../src/decimation.ts";

function ramp(length: number): Float64Array {
  return Float64Array.from({ length }, (_, i) => i);
}

function select(xs: Float64Array, ys: Float64Array, from: number, to: number, columns: number): number[] {
  const selection = new Selection();
  selection.update(ys, false);
  selection.select(xs, from, to, columns);
  return [...selection.indexes.subarray(0, selection.count)];
}

test("few points are all drawn, with one neighbour on each side of the window", () => {
  expect(select(ramp(10), ramp(10), 3, 5, 100)).toEqual([2, 3, 4, 5, 6]);
});

test("a single spike among a hundred thousand points is drawn", () => {
  const ys = new Float64Array(100_000);
  ys[70_123] = 9;
  ys[31_007] = -4;
  const chosen = select(ramp(100_000), ys, 0, 99_999, 300);
  expect(chosen).toContain(70_123);
  expect(chosen).toContain(31_007);
  expect(chosen.length).toBeLessThan(300 * 5 + 10);
});

test("every pixel column keeps its lowest and highest point, whatever the blocks", () => {
  const xs = Float64Array.from({ length: 5_000 }, (_, i) => i + Math.sin(i) / 3);
  const ys = Float64Array.from(xs, (_, i) => ((i * 7919) % 1009) / 7);
  const columns = 37;
  const [from, to] = [xs[0], xs[xs.length - 1]];
  const chosen = new Set(select(xs, ys, from, to, columns));
  const byColumn: number[][] = Array.from({ length: columns + 1 }, () => []);
  for (const [i, x] of xs.entries()) byColumn[Math.floor(((x - from) * columns) / (to - from))].push(i);
  for (const indexes of byColumn) {
    const kept = indexes.filter((i) => chosen.has(i)).map((i) => ys[i]);
    expect(Math.min(...kept)).toBe(Math.min(...indexes.map((i) => ys[i])));
    expect(Math.max(...kept)).toBe(Math.max(...indexes.map((i) => ys[i])));
  }
});

test("indexes come in order and once, so that the line never turns back", () => {
  const ys = Float64Array.from({ length: 20_000 }, (_, i) => (i * 31) % 101);
  const chosen = select(ramp(20_000), ys, 100, 15_000, 200);
  expect(chosen.every((index, k) => k === 0 || index > chosen[k - 1])).toBe(true);
});

test("a NaN among thousands of points is kept, so that its gap shows", () => {
  const ys = ramp(50_000);
  ys[25_000] = Number.NaN;
  expect(select(ramp(50_000), ys, 0, 49_999, 100)).toContain(25_000);
});

test("points that are added later are seen, and those taken back are not", () => {
  const selection = new Selection();
  const ys = new Float64Array(1_000);
  selection.update(ys.subarray(0, 500), false);
  ys[905] = 3;
  selection.update(ys, true);
  selection.select(ramp(1_000), 0, 999, 10);
  expect([...selection.indexes.subarray(0, selection.count)]).toContain(905);
  selection.update(new Float64Array(1_000), false);
  selection.select(ramp(1_000), 0, 999, 10);
  expect([...selection.indexes.subarray(0, selection.count)]).not.toContain(905);
});
