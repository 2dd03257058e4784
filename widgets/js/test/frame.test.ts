import { expect, test } from "vitest";
import { decodeFrame, decodeStatic, FrameError, type PointsFrame } from "../src/frame.ts";

/** A float64 column inside a longer message, as buffers reach the page: at an odd offset. */
function unaligned(values: number[]): DataView {
  const bytes = new Uint8Array(3 + 8 * values.length);
  bytes.set(new Uint8Array(Float64Array.from(values).buffer), 3);
  return new DataView(bytes.buffer, 3);
}

const heads = [
  { id: 1, n: 2, root: "logs", source: "train", tag: "loss", plugin: "scalars", total: 9 },
  { id: 2, n: 1, root: "logs", source: "val", tag: "loss", plugin: "scalars", total: 1 },
];

test("a snapshot's buffers are split by series, wherever in memory they start", () => {
  const buffers = [unaligned([0, 1, 5]), unaligned([10, 11, 12]), unaligned([0.5, Number.NaN, 2])];
  const frame = decodeFrame({ kind: "snapshot", seq: 4, series: heads }, buffers) as PointsFrame;
  expect(frame.seq).toBe(4);
  expect(frame.series.map(({ id, total }) => [id, total])).toEqual([
    ["1", 9],
    ["2", 1],
  ]);
  expect([...frame.series[0].steps]).toEqual([0, 1]);
  expect([...frame.series[0].values]).toEqual([0.5, Number.NaN]);
  expect([...frame.series[1].steps]).toEqual([5]);
  expect([...frame.series[1].walls]).toEqual([12]);
});

test("a frame whose buffers do not fit its header is refused whole", () => {
  const short = [unaligned([0, 1]), unaligned([10, 11]), unaligned([1, 2])];
  expect(() => decodeFrame({ kind: "delta", seq: 1, series: heads }, short)).toThrow(FrameError);
  expect(() => decodeFrame({ kind: "delta", seq: 1, series: heads }, short.slice(1))).toThrow(FrameError);
  expect(() => decodeFrame({ kind: "delta", seq: 1, series: heads }, [new ArrayBuffer(7)])).toThrow(
    FrameError,
  );
});

test("kinds of later versions are passed over", () => {
  expect(decodeFrame({ kind: "hologram" }, [])).toBeNull();
  expect(decodeFrame("nonsense", [])).toBeNull();
});

test("a run frame with fields missing still says what it knows", () => {
  expect(decodeFrame({ kind: "run", run: { name: "a" }, points: 3 }, [])).toEqual({
    kind: "run",
    seq: null,
    run: { name: "a" },
    points: 3,
    updated: null,
    files: null,
    tensorboard: null,
  });
});

test("a saved notebook's points come out of base64 bit for bit", () => {
  const values = [0.1, -1e300, Number.POSITIVE_INFINITY];
  const base64 = (numbers: number[]) =>
    btoa(String.fromCharCode(...new Uint8Array(Float64Array.from(numbers).buffer)));
  const form = {
    series: [{ id: "7", n: 3, root: "logs", source: ".", tag: "loss", plugin: "scalars", total: 3 }],
    buffers: { step: base64([0, 1, 2]), wall: base64([5, 6, 7]), value: base64(values) },
  };
  expect([...decodeStatic(form).series[0].values]).toEqual(values);
});
