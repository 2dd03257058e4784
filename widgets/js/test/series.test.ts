import { expect, test } from "vitest";
import { Series } from "../src/series.ts";

function series(): Series {
  return new Series({ root: "logs", source: ".", tag: "loss", plugin: "scalars" });
}

function add(
  target: Series,
  steps: number[],
  values: number[],
  walls = steps.map((step) => 100 + step),
): void {
  target.append(Float64Array.from(steps), Float64Array.from(walls), Float64Array.from(values));
}

test("points stay in order through many small deltas", () => {
  const one = series();
  for (let step = 0; step < 10_000; step++) add(one, [step], [step / 2]);
  expect(one.length).toBe(10_000);
  expect(one.values.at(9_999)).toBe(4999.5);
  expect(one.epoch).toBe(0);
});

test("a restarted step range supersedes what was there", () => {
  const one = series();
  add(one, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]);
  add(one, [2, 3], [20, 30]);
  expect([...one.steps.view()]).toEqual([0, 1, 2, 3]);
  expect([...one.values.view()]).toEqual([0, 1, 20, 30]);
  expect(one.epoch).toBe(1);
});

test("a restart in the middle of one delta counts as well", () => {
  const one = series();
  add(one, [0, 1, 2, 1, 2, 3, 3], [0, 1, 2, 10, 20, 30, 31]);
  expect([...one.steps.view()]).toEqual([0, 1, 2, 3]);
  expect([...one.values.view()]).toEqual([0, 10, 20, 31]);
});

test("a snapshot replaces all points and tells how many there are", () => {
  const one = series();
  add(one, [0, 1, 2], [0, 1, 2]);
  one.replace(Float64Array.of(5), Float64Array.of(6), Float64Array.of(7), 1000);
  expect([one.length, one.total, one.steps.at(0)]).toEqual([1, 1000, 5]);
  expect(one.epoch).toBeGreaterThan(0);
});

test("wall times that go back are noticed, until they are gone", () => {
  const one = series();
  add(one, [0, 1, 2], [0, 0, 0], [10, 12, 11]);
  expect(one.wallsAscend).toBe(false);
  one.replace(Float64Array.of(0, 1), Float64Array.of(1, 2), Float64Array.of(0, 0), 2);
  expect(one.wallsAscend).toBe(true);
});
