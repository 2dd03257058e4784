import { lowerBound } from "./search.ts";

/** As many points as this for each pixel column are drawn as they are. */
const DENSE = 4;
/** A column keeps its first, lowest, highest and last point, and one that is not finite. */
const KEPT = 5;

/** Indexes of the points that matter for a picture, in ascending order; `indexes` is valid up to `count`. */
export class Selection {
  indexes = new Uint32Array(256);
  count = 0;

  /**
   * Choose the points of ascending `xs` between `from` and `to`, and one on each side, for a picture `columns` pixels wide.
   *
   * No extreme is lost: each pixel column keeps its lowest and its highest point.
   */
  select(xs: Float64Array, ys: Float64Array, from: number, to: number, columns: number): void {
    const start = Math.max(0, lowerBound(xs, from) - 1);
    let stop = lowerBound(xs, to);
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
    for (let i = start; i < stop; ) i = this.column(xs, ys, from, scale, i, stop);
  }

  /** Keep the extremes of the pixel column that starts with point `first`, and return where the next one starts. */
  private column(
    xs: Float64Array,
    ys: Float64Array,
    from: number,
    scale: number,
    first: number,
    stop: number,
  ): number {
    const end = from + (Math.floor((xs[first] - from) * scale) + 1) / scale;
    let low = -1;
    let high = -1;
    let odd = -1;
    let i = first;
    do {
      const y = ys[i];
      if (y - y !== 0) odd = i;
      else {
        if (low < 0 || y < ys[low]) low = i;
        if (high < 0 || y > ys[high]) high = i;
      }
      i++;
    } while (i < stop && xs[i] < end);
    this.keep(first);
    for (const index of [low, high, odd].sort((a, b) => a - b)) this.keep(index);
    this.keep(i - 1);
    return i;
  }

  private keep(index: number): void {
    if (index >= 0 && (this.count === 0 || this.indexes[this.count - 1] < index))
      this.indexes[this.count++] = index;
  }

  private reserve(count: number): void {
    if (this.indexes.length < count) this.indexes = new Uint32Array(count);
  }
}
