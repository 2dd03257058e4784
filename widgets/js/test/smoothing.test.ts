import { expect, test } from "vitest";
import { Series } from "../src/series.ts";
import { Smoother } from "../src/smoothing.ts";

function seriesOf(values: number[]): Series {
  const steps = Float64Array.from(values, (_, i) => i);
  const series = new Series({ root: "logs", source: ".", tag: "loss", plugin: "scalars" });
  series.append(steps, steps, Float64Array.from(values));
  return series;
}

/** The textbook definition: a weighted mean in which each earlier value counts `weight` times less. */
function weightedMean(values: number[], weight: number): number[] {
  return values.map((_, last) => {
    let sum = 0;
    let weights = 0;
    values.slice(0, last + 1).forEach((value, i) => {
      sum += value * weight ** (last - i);
      weights += weight ** (last - i);
    });
    return sum / weights;
  });
}

test("smoothing is TensorBoard's: values worked out by hand for a weight of 0.6", () => {
  // 1; (0.6·1 + 3) / 1.6; (0.36·1 + 0.6·3 + 2) / 1.96
  const smoothed = new Smoother().update(seriesOf([1, 3, 2]), 0.6);
  expect([...smoothed]).toEqual([1, 2.25, 4.16 / 1.96].map((value) => expect.closeTo(value, 12)));
});

test("smoothing is a weighted mean of all values so far", () => {
  const values = Array.from({ length: 50 }, (_, i) => Math.sin(i) + i / 7);
  const smoothed = new Smoother().update(seriesOf(values), 0.93);
  expect([...smoothed]).toEqual(weightedMean(values, 0.93).map((value) => expect.closeTo(value, 10)));
});

test("points that come one by one are smoothed as if they had come together", () => {
  const values = [5, 1, 4, 4, -2, 8];
  const growing = seriesOf([]);
  const smoother = new Smoother();
  values.forEach((value, i) => {
    growing.append(Float64Array.of(i), Float64Array.of(i), Float64Array.of(value));
    smoother.update(growing, 0.8);
  });
  const together = [...new Smoother().update(seriesOf(values), 0.8)];
  expect([...smoother.update(growing, 0.8)]).toEqual(together);
});

test("a restart and another weight start the average again", () => {
  const series = seriesOf([1, 2, 3, 4]);
  const smoother = new Smoother();
  smoother.update(series, 0.9);
  series.append(Float64Array.of(1), Float64Array.of(9), Float64Array.of(7));
  expect([...smoother.update(series, 0.5)]).toEqual([...new Smoother().update(seriesOf([1, 7]), 0.5)]);
});

test("NaN and infinities pass through and leave the average alone", () => {
  const smoothed = [...new Smoother().update(seriesOf([1, Number.NaN, Number.NEGATIVE_INFINITY, 3]), 0.6)];
  expect(smoothed).toEqual([1, Number.NaN, Number.NEGATIVE_INFINITY, expect.closeTo(2.25, 12)]);
});

test("a constant stays exactly constant", () => {
  const smoothed = new Smoother().update(seriesOf(Array(100).fill(0.1)), 0.97);
  expect(new Set(smoothed)).toEqual(new Set([0.1]));
});
