import { Emitter } from "./emitter.ts";
import { formatClock, formatDate } from "./format.ts";
import {
  type Buffer,
  decodeFrame,
  decodeStatic,
  type Frame,
  type PointsFrame,
  type RunFacts,
  type StaticForm,
  type WatchedFile,
} from "./frame.ts";
import { Series } from "./series.ts";
import { Settings } from "./settings.ts";
import { type Source, sourceId } from "./source.ts";

/** How long after a gap a snapshot may take before the page asks for one. */
const PATIENCE_MS = 1500;

/** How long nothing may come from a recorder that sends something every ten seconds before the page doubts that it is there. */
const SILENCE_MS = 30_000;
/** The same where a server is between, which is told every 30 seconds. */
const HEARTBEAT_SILENCE_MS = 75_000;

const byNumber = new Intl.Collator("en", { numeric: true });

/** A tag's last point that has been painted; `drawnAt` is in milliseconds since the epoch. */
export interface Drawn {
  readonly step: number;
  readonly value: number;
  readonly drawnAt: number;
}

export interface SeriesState {
  readonly id: string;
  readonly root: string;
  readonly source: string;
  readonly tag: string;
  readonly plugin: string;
  readonly points: number;
  readonly total: number;
  readonly step: number | null;
  readonly value: number | null;
}

/**
 * All that the page knows of one panel: its run and its points, whichever views show them.
 *
 * Frames may arrive before any view does, and views come and go; the feed stays for as long as a widget model holds it.
 */
export class Feed {
  readonly seriesById = new Map<string, Series>();
  readonly settings = new Settings({ smoothing: 0.6, x: "step", y: "linear", filter: "" });
  /** Points were added to these series or replaced. */
  readonly pointsChanged = new Emitter<readonly Series[]>();
  /** A series is new. */
  readonly seriesChanged = new Emitter();
  /** The run, its files, counts or warnings changed. */
  readonly factsChanged = new Emitter();

  run: RunFacts = {};
  files: readonly WatchedFile[] = [];
  readonly warnings: string[] = [];
  tensorboard: number | null = null;
  /** When the last point came, in seconds since the epoch by the page's clock. */
  updated: number | null = null;
  /** Whether more may come; a saved notebook's feed is as it was. */
  live = true;
  /** Asks the kernel for a snapshot; the answer may never come. */
  askForSnapshot: (() => void) | null = null;

  /** When the recorder was last heard of, in seconds since the epoch by the page's clock. */
  private heard = now();
  /** When it was by the clock of the server between, if there is one. */
  private heartbeat: number | null = null;
  private silence: ReturnType<typeof setTimeout> | null = null;
  private announcedPoints: number | null = null;
  private isExpected = false;
  private lastSeq: number | null = null;
  private pendingQuestion: ReturnType<typeof setTimeout> | null = null;
  private readonly drawn = new Map<string, Drawn>();

  constructor(readonly uid: string) {
    this.listen();
  }

  /** Take one message as the kernel sent it. A message that is not whole costs a question, nothing more. */
  receive(header: unknown, buffers: readonly Buffer[]): void {
    let frame: Frame | null;
    try {
      frame = decodeFrame(header, buffers);
    } catch (error) {
      console.warn("runcast: a message was not whole,", error);
      this.questionSoon();
      return;
    }
    if (!frame) return;
    this.hear(frame);
    this.take(frame);
  }

  /** Take what a saved notebook holds. */
  load(form: StaticForm): void {
    this.live = false;
    this.stopListening();
    this.run = form.run ?? {};
    this.takePoints(decodeStatic(form));
    for (const series of this.seriesById.values()) {
      if (series.length) this.updated = Math.max(this.updated ?? 0, series.last("walls"));
    }
    this.factsChanged.emit();
  }

  /** Every series, in the order in which the recorder met them: their ids grow, whatever order a message has. */
  get seriesInOrder(): readonly Series[] {
    return [...this.seriesById].sort(([a], [b]) => byNumber.compare(a, b)).map(([, series]) => series);
  }

  /** The points that count, those that the page does not hold included. */
  get points(): number {
    let sum = 0;
    for (const series of this.seriesById.values()) sum += series.total;
    return Math.max(sum, this.announcedPoints ?? 0);
  }

  /** Whether scalars that are not here are on their way, as far as is known. */
  get isReading(): boolean {
    if (!this.live) return false;
    return this.announcedPoints === null ? this.isExpected : this.announcedPoints > 0;
  }

  get state(): string {
    return this.run.state ?? "running";
  }

  /** Whether a run that was running may have ended without a word: its kernel died, or cannot be reached. */
  get silent(): boolean {
    return this.live && this.state === "running" && this.silence === null;
  }

  /** The state in words, true whenever they are read: nothing is claimed of a run that is not heard of. */
  get standing(): string {
    if (this.state !== "running") return this.state;
    if (this.silent) return `no news since ${formatClock(this.heard)}`;
    if (this.live) return this.state;
    return this.updated === null ? "was running" : `recorded up to ${formatDate(this.updated)}`;
  }

  /** The first wall time of a source: where its relative time starts. */
  origin(source: Source): number {
    const id = sourceId(source);
    let first = Number.POSITIVE_INFINITY;
    for (const { key, walls, length } of this.seriesById.values()) {
      if (length && sourceId(key) === id) first = Math.min(first, walls.at(0));
    }
    return first;
  }

  /** Take what is known of the run before the first message; `isExpected`: which is on its way, and tells of all points. */
  describe(run: RunFacts, isExpected = false): void {
    this.isExpected = isExpected;
    this.run = { ...run, ...this.run };
    this.factsChanged.emit();
  }

  noteDrawn(tag: string, step: number, value: number, drawnAt: number): void {
    this.drawn.set(tag, { step, value, drawnAt });
  }

  /** The newest point of this tag that stands on the screen, for whoever measures. */
  lastDrawn(tag: string): Drawn | null {
    return this.drawn.get(tag) ?? null;
  }

  /** Every series as the page holds it, for whoever looks from outside. */
  series(): SeriesState[] {
    return [...this.seriesById].map(([id, series]) => ({
      ...series.key,
      id,
      points: series.length,
      total: series.total,
      step: series.length ? series.last("steps") : null,
      value: series.length ? series.last("values") : null,
    }));
  }

  /** Forget timers; the points stay with whoever still holds the feed. */
  close(): void {
    if (this.pendingQuestion !== null) clearTimeout(this.pendingQuestion);
    this.pendingQuestion = null;
    this.askForSnapshot = null;
    this.stopListening();
  }

  /** Note a sign of life: in a notebook that is each message; a server's go on without a recorder, and say when it was heard of. */
  private hear(frame: Frame): void {
    const heartbeat = frame.kind === "run" ? (frame.run.heartbeat ?? null) : null;
    if (heartbeat === null) {
      if (this.heartbeat === null || frame.kind === "delta") this.listen();
    } else if (heartbeat !== this.heartbeat) {
      // Of what the page did not see there is only the server's clock, which may differ.
      const first = this.heartbeat === null;
      this.heartbeat = heartbeat;
      this.listen(first ? Math.min(heartbeat, now()) : now());
    }
  }

  /** Note when something was heard, and wait for what comes next. */
  private listen(heard = now()): void {
    const wasSilent = this.silent;
    this.stopListening();
    this.heard = heard;
    const patience = this.heartbeat === null ? SILENCE_MS : HEARTBEAT_SILENCE_MS;
    const end = () => {
      this.silence = null;
      this.factsChanged.emit();
    };
    const left = patience - (now() - heard) * 1000;
    if (left > 0) this.silence = setTimeout(end, left);
    if (wasSilent) this.factsChanged.emit();
  }

  private stopListening(): void {
    if (this.silence !== null) clearTimeout(this.silence);
    this.silence = null;
  }

  private take(frame: Frame): void {
    switch (frame.kind) {
      case "snapshot":
      case "delta":
        this.watchSeq(frame.seq, frame.kind === "snapshot");
        this.takePoints(frame);
        return;
      case "run":
        this.watchSeq(frame.seq, false);
        this.run = frame.run;
        this.announcedPoints = frame.points;
        if (frame.files) this.files = frame.files;
        this.tensorboard = frame.tensorboard ?? this.tensorboard;
        if (frame.updated !== null)
          this.updated = Math.max(this.updated ?? 0, Math.min(frame.updated, now()));
        break;
      case "finished":
        this.run = { ...this.run, state: frame.state, ended: this.run.ended ?? now() };
        break;
      case "warning":
        if (frame.text && !this.warnings.includes(frame.text)) this.warnings.push(frame.text);
        break;
    }
    this.factsChanged.emit();
  }

  private takePoints({ kind, series: parts }: PointsFrame): void {
    const changed: Series[] = [];
    const before = this.seriesById.size;
    for (const part of parts) {
      let series = this.seriesById.get(part.id);
      if (!series) {
        if (part.tag === undefined) {
          this.questionSoon();
          continue;
        }
        const { root = "", source = ".", tag, plugin = "scalars" } = part;
        series = new Series({ root, source, tag, plugin });
        this.seriesById.set(part.id, series);
      }
      if (kind === "snapshot") series.replace(part.steps, part.walls, part.values, part.total ?? 0);
      else series.append(part.steps, part.walls, part.values);
      changed.push(series);
    }
    if (kind === "delta" && changed.some((series) => series.length)) this.updated = now();
    if (this.seriesById.size !== before) this.seriesChanged.emit();
    if (changed.length) this.pointsChanged.emit(changed);
    if (before === 0 || kind === "delta") this.factsChanged.emit();
  }

  /** A number that was skipped is a message that was lost: unless a snapshot follows, ask for one. */
  private watchSeq(seq: number | null, snapshot: boolean): void {
    const gap = seq !== null && this.lastSeq !== null && seq > this.lastSeq + 1;
    this.lastSeq = seq ?? this.lastSeq;
    if (snapshot && this.pendingQuestion !== null) {
      clearTimeout(this.pendingQuestion);
      this.pendingQuestion = null;
    } else if (gap && !snapshot) this.questionSoon();
  }

  private questionSoon(): void {
    this.pendingQuestion ??= setTimeout(() => {
      this.pendingQuestion = null;
      this.askForSnapshot?.();
    }, PATIENCE_MS);
  }
}

function now(): number {
  return Date.now() / 1000;
}
