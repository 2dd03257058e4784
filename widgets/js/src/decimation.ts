import { Extremes } from "./extremes.ts";
import { lowerBound } from "./search.ts";

/** With up to this many points for each pixel column, all of them are drawn. */
const DENSE = 4;
/** A column keeps its first, lowest, highest and last point, and one that is not finite. */
const KEPT = 5;

/** Indexes of the points that matter for a picture, in ascending order; `indexes` is valid up to `count`. */
export class Selection {
  indexes = new Uint32Array(256);
  count = 0;
  private readonly extremes = new Extremes();

  /** Take the values as they are now; `kept` says that the earlier ones are those of the last call. */
  update(ys: Float64Array, kept: boolean): void {
    this.extremes.update(ys, kept);
  }

  /**
   * Choose the points of ascending `xs` between `from` and `to`, and one on each side, for a picture `columns` pixels wide.
   *
   * No extreme is lost: each pixel column keeps its lowest and its highest point.
   */
  select(xs: Float64Array, from: number, to: number, columns: number): void {
    const start = Math.max(0, lowerBound(xs, from) - 1);
    let stop = lowerBound(xs, to, start);
    while (stop < xs.length && xs[stop] === to) stop++;
    stop = Math.min(xs.length, stop + 1);
    this.count = 0;
    if (stop - start <= DENSE * columns) {
      this.reserve(stop - start);
      for (let i = start; i < stop; i++) this.indexes[this.count++] = i;
      return;
    }
    this.reserve(KEPT * (columns + 3));
    const scale = columns / (to - from);
    for (let i = start; i < stop; ) {
      const edge = from + (Math.floor((xs[i] - from) * scale) + 1) / scale;
      const next = Math.max(i + 1, lowerBound(xs, edge, i, stop));
      this.keepColumn(i, next);
      i = next;
    }
  }

  private keepColumn(start: number, stop: number): void {
    const { extremes } = this;
    extremes.find(start, stop);
    const { low, high, odd } = extremes;
    this.keep(start);
    if (odd >= 0) for (const index of [low, high, odd].sort((a, b) => a - b)) this.keep(index);
    else {
      this.keep(Math.min(low, high));
      this.keep(Math.max(low, high));
    }
    this.keep(stop - 1);
  }

  /** Indexes come in ascending order; one that is here already, or is none at all, is left out. */
  private keep(index: number): void {
    if (index >= 0 && (this.count === 0 || this.indexes[this.count - 1] < index))
      this.indexes[this.count++] = index;
  }

  private reserve(count: number): void {
    if (this.indexes.length < count) this.indexes = new Uint32Array(count);
  }
}
