/** The recorder's messages as they reach the page, and their checks. `runcast/run/channel.py` describes the sending side. */

import { countOf } from "./format.ts";

export interface RunFacts {
  id?: string;
  name?: string;
  project?: string;
  state?: string;
  folder?: string;
  url?: string;
  created?: number | null;
  ended?: number | null;
  /** When a server last heard of the recorder, in seconds since the epoch. */
  heartbeat?: number | null;
  facts?: Record<string, unknown>;
  config?: Record<string, unknown>;
}

export interface WatchedFile {
  path?: string;
  source?: string;
  size?: number | null;
  recorded?: number | null;
  lag?: number | null;
  skipped?: number | null;
  state?: string | null;
  why?: string | null;
}

/** The state of a file that has not grown since the run started, and is therefore not recorded. */
export const OLDER = "older";

export interface SeriesPart {
  readonly id: string;
  /** Absent from a delta, which is about series that a snapshot described. */
  readonly root?: string;
  readonly source?: string;
  readonly tag?: string;
  readonly plugin?: string;
  readonly total?: number;
  readonly steps: Float64Array;
  readonly walls: Float64Array;
  readonly values: Float64Array;
}

export interface PointsFrame {
  readonly kind: "snapshot" | "delta";
  readonly seq: number | null;
  readonly series: readonly SeriesPart[];
}

export interface RunFrame {
  readonly kind: "run";
  readonly seq: number | null;
  readonly run: RunFacts;
  readonly points: number | null;
  readonly updated: number | null;
  readonly files: readonly WatchedFile[] | null;
  readonly tensorboard: number | null;
}

export type Frame =
  | PointsFrame
  | RunFrame
  | { readonly kind: "finished"; readonly state: string }
  | { readonly kind: "warning"; readonly text: string };

/** A message that says it is a frame and is not whole. */
export class FrameError extends Error {}

export type Buffer = ArrayBuffer | ArrayBufferView;

interface SeriesHead {
  id: string | number;
  n: number;
  root?: string;
  source?: string;
  tag?: string;
  plugin?: string;
  total?: number;
}

/** Decode a message; `null` is one of a kind that this panel does not know. */
export function decodeFrame(header: unknown, buffers: readonly Buffer[]): Frame | null {
  if (!isRecord(header)) return null;
  const seq = numberOr(header.seq, null);
  switch (header.kind) {
    case "snapshot":
    case "delta":
      if (!Array.isArray(header.series)) throw new FrameError("a frame of points lists no series");
      return { kind: header.kind, seq, series: split(header.series as SeriesHead[], buffers.map(toFloat64)) };
    case "run":
      return {
        kind: "run",
        seq,
        run: isRecord(header.run) ? (header.run as RunFacts) : {},
        points: numberOr(header.points, null),
        updated: numberOr(header.updated, null),
        files: Array.isArray(header.files) ? (header.files.filter(isRecord) as WatchedFile[]) : null,
        tensorboard: numberOr(header.tensorboard, null),
      };
    case "finished":
      return { kind: "finished", state: typeof header.state === "string" ? header.state : "finished" };
    case "warning":
      return { kind: "warning", text: String(header.text ?? "") };
    default:
      return null;
  }
}

/** What a saved notebook holds: one snapshot, its buffers in base64. */
export interface StaticForm {
  readonly uid?: string;
  readonly run?: RunFacts;
  readonly series?: readonly unknown[];
  readonly buffers?: { readonly step?: string; readonly wall?: string; readonly value?: string };
}

/** The snapshot that a static form stands for. */
export function decodeStatic(form: StaticForm): PointsFrame {
  const buffers = [form.buffers?.step, form.buffers?.wall, form.buffers?.value].map((text) =>
    fromBase64(text ?? ""),
  );
  return decodeFrame({ kind: "snapshot", seq: null, series: form.series ?? [] }, buffers) as PointsFrame;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function numberOr<T>(value: unknown, otherwise: T): number | T {
  return typeof value === "number" ? value : otherwise;
}

function split(heads: readonly SeriesHead[], columns: readonly Float64Array[]): SeriesPart[] {
  if (columns.length < 3)
    throw new FrameError(`a frame of points has ${countOf(columns.length, "buffer")} and not three`);
  const [steps, walls, values] = columns;
  let start = 0;
  const parts = heads.map(({ id, n, ...description }) => {
    const stop = start + n;
    const part = {
      ...description,
      id: String(id),
      steps: steps.subarray(start, stop),
      walls: walls.subarray(start, stop),
      values: values.subarray(start, stop),
    };
    start = stop;
    return part;
  });
  if (columns.some((column) => column.length !== start)) {
    throw new FrameError(
      `a frame promises ${countOf(start, "point")} and its buffers hold ${columns.map((c) => c.length)}`,
    );
  }
  return parts;
}

function toFloat64(buffer: Buffer): Float64Array {
  const bytes = ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);
  if (bytes.byteLength % 8)
    throw new FrameError(`a buffer of ${bytes.byteLength} bytes holds no float64 column`);
  // A message's buffers start anywhere in it; a Float64Array must start at a multiple of eight.
  return new Float64Array(bytes.slice().buffer);
}

function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
