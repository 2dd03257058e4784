import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Feed } from "../src/feed.ts";
import { holdFeed } from "../src/registry.ts";

const loss = { id: "1", root: "logs", source: "train", tag: "loss", plugin: "scalars", total: 2 };

function send(feed: Feed, kind: "snapshot" | "delta", seq: number, steps: number[]): void {
  const head = kind === "snapshot" ? loss : { id: "1" };
  const column = Float64Array.from(steps);
  feed.receive({ kind, v: 1, uid: "u", seq, series: [{ ...head, n: steps.length }] }, [
    column,
    column,
    column,
  ]);
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test("points that came before any view are there when one opens", () => {
  const model = new AbortController();
  const view = new AbortController();
  send(holdFeed("early", model.signal), "snapshot", 0, [0, 1]);
  const feed = holdFeed("early", view.signal);
  expect(feed.series()).toMatchObject([{ tag: "loss", points: 2, step: 1, value: 1 }]);
  view.abort();
  expect(globalThis.__runcast?.has("early")).toBe(true);
  model.abort();
  expect(globalThis.__runcast?.has("early")).toBe(false);
});

test("a delta adds, a snapshot replaces", () => {
  const feed = new Feed("u");
  send(feed, "snapshot", 0, [0, 1]);
  send(feed, "delta", 1, [2, 3]);
  expect(feed.series()[0]).toMatchObject({ points: 4, step: 3 });
  send(feed, "snapshot", 2, [7]);
  expect(feed.series()[0]).toMatchObject({ points: 1, step: 7 });
});

test("after a lost message the page asks for a snapshot, unless one comes by itself", () => {
  const feed = new Feed("u");
  feed.askForSnapshot = vi.fn();
  send(feed, "snapshot", 0, [0]);
  send(feed, "delta", 3, [4]);
  send(feed, "snapshot", 4, [0, 1, 2, 3, 4]);
  vi.advanceTimersByTime(10_000);
  expect(feed.askForSnapshot).not.toHaveBeenCalled();
  send(feed, "delta", 6, [9]);
  vi.advanceTimersByTime(10_000);
  expect(feed.askForSnapshot).toHaveBeenCalledTimes(1);
});

test("a delta for a series that the page does not know asks for a snapshot", () => {
  const feed = new Feed("u");
  feed.askForSnapshot = vi.fn();
  send(feed, "delta", 0, [1]);
  vi.advanceTimersByTime(10_000);
  expect(feed.askForSnapshot).toHaveBeenCalledTimes(1);
  expect(feed.series()).toEqual([]);
});

test("a damaged message costs nothing that is there", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const feed = new Feed("u");
  send(feed, "snapshot", 0, [0, 1]);
  feed.receive({ kind: "delta", seq: 1, series: [{ id: "1", n: 5 }] }, [new Float64Array(1)]);
  expect(feed.series()[0].points).toBe(2);
  expect(warn).toHaveBeenCalled();
});

test("the run's end is known from its last message", () => {
  const feed = new Feed("u");
  feed.receive({ kind: "run", seq: 0, run: { name: "a", state: "running", created: 5 }, points: 7 }, []);
  expect([feed.state, feed.points]).toEqual(["running", 7]);
  feed.receive({ kind: "finished", state: "crashed" }, []);
  expect(feed.state).toBe("crashed");
  expect(feed.run.name).toBe("a");
});

test("a warning is kept once", () => {
  const feed = new Feed("u");
  for (const _ of [1, 2]) feed.receive({ kind: "warning", text: "the disk is full" }, []);
  expect(feed.warnings).toEqual(["the disk is full"]);
});

test("series stand in the order of their ids, whatever order a message has", () => {
  const feed = new Feed("u");
  const series = ["10", "9", "2"].map((id) => ({ ...loss, id, tag: `tag ${id}`, n: 0 }));
  const nothing = new Float64Array(0);
  feed.receive({ kind: "snapshot", seq: 0, series }, [nothing, nothing, nothing]);
  expect(feed.seriesInOrder.map(({ key }) => key.tag)).toEqual(["tag 2", "tag 9", "tag 10"]);
});

test("relative time starts at the first point of a source, whichever tag it has", () => {
  const feed = new Feed("u");
  const heads = [loss, { ...loss, id: "2", tag: "accuracy" }, { ...loss, id: "3", source: "val" }];
  feed.receive({ kind: "snapshot", seq: 0, series: heads.map((head) => ({ ...head, n: 1 })) }, [
    Float64Array.of(0, 0, 0),
    Float64Array.of(50, 40, 30),
    Float64Array.of(1, 1, 1),
  ]);
  expect(feed.origin({ root: "logs", source: "train" })).toBe(40);
  expect(feed.origin({ root: "logs", source: "val" })).toBe(30);
});
