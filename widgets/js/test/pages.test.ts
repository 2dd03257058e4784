// @vitest-environment jsdom

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { formatDuration } from "../src/format.ts";
import { Api, ApiError, type Run, sentence } from "../src/pages/api.ts";
import {
  cellValue,
  chosenColumns,
  configValue,
  duration,
  metricsOf,
  settingsOf,
  suggested,
} from "../src/pages/columns.ts";
import { ConsoleLines } from "../src/pages/console_lines.ts";
import { EventReader, type ServerEvent } from "../src/pages/events.ts";
import { filterOf, filterProblem } from "../src/pages/filter.ts";
import { backoff, follow } from "../src/pages/live.ts";
import { MessageReader } from "../src/pages/messages.ts";
import { nextPage, Router } from "../src/pages/router.ts";
import { tagsOf } from "../src/pages/run_head.ts";
import { expiry } from "../src/pages/sharing.ts";

let life: AbortController;

beforeEach(() => {
  life = new AbortController();
});

afterEach(() => {
  life.abort();
  vi.useRealTimers();
});

const bytes = (text: string) => new TextEncoder().encode(text);

function run(fields: Partial<Run> = {}): Run {
  return {
    ...{ id: "r", project: "p", name: "n", state: "running", created: 100, ended: null, heartbeat: null },
    ...{ tags: [], notes: "", group: "", job_type: "", config: {}, facts: {}, summary: {} },
    ...fields,
  };
}

/** A message as `runcast.run.channel.pack` writes it. */
function packed(header: Record<string, unknown>, ...buffers: Uint8Array[]): Uint8Array {
  const head = bytes(JSON.stringify({ ...header, buffers: buffers.map(({ length }) => length) }));
  const message = new Uint8Array(4 + head.length + buffers.reduce((sum, { length }) => sum + length, 0));
  new DataView(message.buffer).setUint32(0, head.length, true);
  message.set(head, 4);
  let at = 4 + head.length;
  for (const buffer of buffers) {
    message.set(buffer, at);
    at += buffer.length;
  }
  return message;
}

test("messages come whole, however a stream cuts them", () => {
  const first = packed({ kind: "snapshot", name: "é" }, bytes("steps"), bytes(""), bytes("values"));
  const stream = new Uint8Array([...first, ...packed({ kind: "alive" })]);
  for (const size of [1, 3, 7, 64, stream.length]) {
    const got: [unknown, string[]][] = [];
    const reader = new MessageReader(({ kind }, buffers) => {
      got.push([kind, buffers.map((buffer) => new TextDecoder().decode(buffer))]);
    });
    for (let at = 0; at < stream.length; at += size) reader.push(stream.slice(at, at + size));
    expect(got).toEqual([
      ["snapshot", ["steps", "", "values"]],
      ["alive", []],
    ]);
  }
  expect(() => new MessageReader(() => {}).push(bytes("<!doctype html>"))).toThrow();
});

test("events come whole, with their ids, however a stream cuts them", () => {
  const text = 'retry: 2000\nid: 7\nevent: change\ndata: {"runs":\ndata: []}\n\n:\n\ndata: é\n\n';
  for (const size of [1, 2, 5, 200]) {
    const got: ServerEvent[] = [];
    const reader = new EventReader((event) => got.push(event));
    for (let at = 0; at < bytes(text).length; at += size) reader.push(bytes(text).slice(at, at + size));
    expect(got).toEqual([
      { id: "7", kind: "change", text: '{"runs":\n[]}' },
      { id: "7", kind: "message", text: "é" },
    ]);
  }
});

test("addresses lead to their pages, with names that have slashes and percent signs of their own", () => {
  const router = new Router({ "/": "home", "/projects/:name": "runs", "/projects/:name/trash": "trash" });
  expect(router.match("/")?.view).toBe("home");
  expect(router.match("/projects/vision%2F50%25")).toEqual({
    view: "runs",
    parameters: { name: "vision/50%" },
  });
  expect(router.match("/projects/a%2Ftrash/trash")).toEqual({
    view: "trash",
    parameters: { name: "a/trash" },
  });
  for (const path of ["/projects", "/projects/a/b", "/projects/%E0%A4%A"])
    expect(router.match(path)).toBeNull();
});

test("a login leads to a page of this site only", () => {
  expect(nextPage("/runs/abc?x=1")).toBe("/runs/abc?x=1");
  for (const said of [
    null,
    "",
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "javascript:alert(1)",
  ]) {
    expect(nextPage(said)).toBe("/");
  }
});

test("words are looked for in names, conditions are left to the server", () => {
  expect(filterOf("  ")).toBe("");
  expect(filterOf("otter")).toBe('name contains "otter"');
  expect(filterOf('say "hi" and go')).toBe('name contains "say \\"hi\\" and go"');
  for (const said of [
    "config.lr < 0.1",
    "state in (failed, crashed)",
    "tags contains night",
    "config.x exists",
  ]) {
    expect(filterOf(said)).toBe(said);
  }
  const refused =
    "The parameter 'filter' cannot be understood: the filter 'a' cannot be understood: expected an operator.";
  expect(filterProblem(refused)).toBe("Expected an operator.");
});

test("metrics are listed by how many runs have them, and ordered by names that the server reads", () => {
  const runs = [
    run({ summary: { loss: 1, "grad/norm/a": 2, note: "text" } }),
    run({ summary: { loss: "NaN", "train/acc": 0.5, "grad/norm/a": 3 } }),
  ];
  expect(metricsOf(runs)).toEqual(["loss", "grad/norm/a", "train/acc"]);
  const columns = chosenColumns(["summary.val/acc", "summary.acc.max", "summary.my loss"]);
  expect(columns.map(({ order }) => order)).toEqual([
    "summary.val/acc",
    'summary."acc.max"',
    'summary."my loss"',
  ]);
  const titles = chosenColumns(["config.a/b", "summary.logs/train/loss/a", "summary.logs/train/acc"]);
  expect(titles.map(({ title }) => title)).toEqual(["a/b", "loss/a", "acc"]);
  expect(titles[2].name).toBe("logs/train/acc");
  expect(chosenColumns(["summary.lr", "config.lr"]).map(({ title }) => title)).toEqual(["lr", "config.lr"]);
  expect([0.12345, "NaN", "-Infinity", null, "text"].map(cellValue)).toEqual([
    "0.1235",
    "NaN",
    "−∞",
    "",
    "text",
  ]);
});

test("settings stand in the table as metrics do, and what tells runs apart comes first", () => {
  const runs = [
    run({ config: { lr: 0.1, model: { depth: 18, width: 64 }, seeds: [1] }, summary: { epoch: 9, loss: 1 } }),
    run({ config: { lr: 0.1, model: { depth: 50, width: 64 }, "a.b": "x" }, summary: { epoch: 9, loss: 2 } }),
  ];
  expect(settingsOf(runs)).toEqual(["lr", "model.depth", "model.width", "a.b"]);
  expect(suggested(runs)).toEqual(["summary.loss", "summary.epoch", "config.model.depth"]);
  expect([configValue(runs[1].config, "a.b"), configValue(runs[0].config, "model.width")]).toEqual(["x", 64]);
  const [depth] = chosenColumns(["config.model.depth"]);
  expect([depth.title, depth.order, depth.text(runs[0], 0)]).toEqual([
    "model.depth",
    "config.model.depth",
    "18",
  ]);
});

test("a run lasts until it ended, until now, or until its last sign of life", () => {
  expect(duration(run({ state: "finished", ended: 160 }), 1000)).toBe(formatDuration(60));
  expect(duration(run(), 130)).toBe(formatDuration(30));
  expect(duration(run({ state: "crashed", heartbeat: 120 }), 1000)).toBe(formatDuration(20));
  expect(duration(run({ state: "crashed" }), 1000)).toBe("");
});

test("a console's lines are as they look now, and what is no line is passed over", () => {
  const lines = new ConsoleLines();
  const said = [
    "1}",
    '{"v":1,"started":5}',
    '{"n":1,"t":6,"s":"out","x":"10%","open":true}',
    '{"n":1,"t":6,"s":"err","x":"<b>careful</b>"}',
    '{"n":1,"t":7,"s":"out","x":"100%"}',
    '{"left_out":3,"s":"out","t":8}',
  ].join("\n");
  const text = bytes(`${said}\n{"n":2,"s":"out","x":"cut`);
  lines.push(text.slice(0, 40));
  lines.push(text.slice(40));
  expect(lines.lines.map((line) => line.text)).toEqual([
    "100%",
    "<b>careful</b>",
    "… 3 lines are left out …",
  ]);
  expect(lines.push(bytes(' no more"}\n'))).toBe(3);
  expect(lines.lines[3].text).toBe("cut no more");
});

test("tags are written with commas, and links end when they should", () => {
  expect(tagsOf(" a, b ,, a")).toEqual(["a", "b"]);
  expect(expiry("", 1000)).toBeNull();
  expect(expiry("7", 1000)).toBe(1000 + 7 * 86_400);
});

test("a session's requests carry its token where they change something; a share link's never the session", async () => {
  const sent: [string, RequestInit][] = [];
  const answer = { user: { name: "ada", standing: "admin" }, csrf: "secret" };
  const fetcher = (async (path: string, options: RequestInit) => {
    sent.push([path, options]);
    return new Response(JSON.stringify(answer));
  }) as typeof fetch;
  const api = new Api(null, fetcher);
  await api.logIn("ada", "pw");
  await api.editRun("a/b", { name: "x" });
  await api.run("r");
  const shared = new Api("rcs_x", fetcher);
  await shared.run("r");
  const headers = sent.map(([, { headers: each }]) => each as Record<string, string>);
  expect(sent.map(([path]) => path)).toEqual([
    "/api/v1/session",
    "/api/v1/runs/a%2Fb",
    "/api/v1/runs/r",
    "/api/v1/runs/r",
  ]);
  expect(headers.map((each) => each["X-Runcast-CSRF"])).toEqual([undefined, "secret", undefined, undefined]);
  expect(headers[3].Authorization).toBe("Share rcs_x");
  expect(sent[3][1].credentials).toBe("omit");
});

test("what the server refuses is said in its words, and what a proxy says is not", async () => {
  const answering = (status: number, body: string) =>
    new Api(null, (async () => new Response(body, { status })) as typeof fetch).run("r");
  await expect(answering(400, '{"error": "the filter cannot be read: try x = 1"}')).rejects.toMatchObject({
    status: 400,
    message: "The filter cannot be read: try x = 1.",
  });
  await expect(answering(502, "<html>nginx</html>")).rejects.toMatchObject({ status: 502 });
  const unreachable = new Api(null, (async () => Promise.reject(new TypeError())) as typeof fetch);
  await expect(unreachable.run("r")).rejects.toMatchObject({ status: 0 });
  expect(sentence("`name` is missing")).toBe("`name` is missing.");
});

test("a stream that breaks off is opened again, later each time, and not when it is refused", async () => {
  vi.useFakeTimers();
  const waits = [0, 1, 2, 9].map((failures) => backoff(failures, () => 1));
  expect(waits).toEqual([500, 1000, 2000, 20_000]);
  const answers = [
    () => new Response("one"),
    () => Promise.reject(new TypeError()),
    () => new Response("two"),
    () => new Response('{"error": "gone"}', { status: 404 }),
  ];
  const fetcher = (async () => answers.shift()!()) as unknown as typeof fetch;
  const got: string[] = [];
  let refused: ApiError | null = null;
  follow(
    new Api(null, fetcher),
    {
      request: () => ({ path: "/x" }),
      onOpen: () => (piece) => got.push(new TextDecoder().decode(piece)),
      onRefused: (error) => {
        refused = error;
      },
    },
    life.signal,
  );
  for (let k = 0; k < 40; k++) await vi.advanceTimersByTimeAsync(500);
  expect(got).toEqual(["one", "two"]);
  expect(refused).toBeInstanceOf(ApiError);
  expect(answers).toEqual([]);
});
