import { Column } from "./column.ts";
import { lowerBound } from "./search.ts";

export interface SeriesKey {
  readonly root: string;
  readonly source: string;
  readonly tag: string;
  readonly plugin: string;
}

/** The points of one (root, source, tag), in ascending steps. */
export class Series {
  readonly steps = new Column();
  readonly walls = new Column();
  readonly values = new Column();
  /** How many points the store holds; the page may have been sent fewer. */
  total = 0;
  /** Changes whenever points that were there are taken back, so that whoever computed from them starts again. */
  epoch = 0;
  /** Whether the wall times ascend too, as those of a single writer do. */
  wallsAscend = true;

  constructor(readonly key: SeriesKey) {}

  get length(): number {
    return this.steps.length;
  }

  /** Forget all points and take these. */
  replace(steps: Float64Array, walls: Float64Array, values: Float64Array, total: number): void {
    this.truncate(0);
    this.append(steps, walls, values);
    this.total = Math.max(total, this.length);
  }

  /** Add points. A step that goes back or repeats supersedes the points at or after it. */
  append(steps: Float64Array, walls: Float64Array, values: Float64Array): void {
    this.total += steps.length;
    let start = 0;
    for (let i = 0; i < steps.length; i++) {
      const last = i > start ? steps[i - 1] : this.last("steps");
      if (steps[i] > last) continue;
      this.extend(steps, walls, values, start, i);
      this.truncate(lowerBound(this.steps.view(), steps[i]));
      start = i;
    }
    this.extend(steps, walls, values, start, steps.length);
  }

  last(column: "steps" | "walls" | "values"): number {
    return this.length ? this[column].at(this.length - 1) : Number.NEGATIVE_INFINITY;
  }

  private extend(
    steps: Float64Array,
    walls: Float64Array,
    values: Float64Array,
    start: number,
    stop: number,
  ): void {
    if (start === stop) return;
    let before = this.last("walls");
    for (let i = start; i < stop && this.wallsAscend; i++) {
      this.wallsAscend = walls[i] >= before;
      before = walls[i];
    }
    this.steps.append(steps.subarray(start, stop));
    this.walls.append(walls.subarray(start, stop));
    this.values.append(values.subarray(start, stop));
  }

  private truncate(length: number): void {
    if (length >= this.length) return;
    for (const column of [this.steps, this.walls, this.values]) column.truncate(length);
    this.epoch++;
    if (length === 0) this.wallsAscend = true;
  }
}
