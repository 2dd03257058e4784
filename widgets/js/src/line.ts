import { Selection } from "./decimation.ts";
import type { Series } from "./series.ts";
import type { XAxis } from "./settings.ts";
import { Smoother } from "./smoothing.ts";

/** One series as a chart draws it. `xs` and the values are in the same order, `xs` ascending. */
export class Line {
  xs: Float64Array = new Float64Array(0);
  raw: Float64Array = this.xs;
  smoothed: Float64Array = this.xs;
  readonly rawSelection = new Selection();
  readonly smoothedSelection = new Selection();
  private readonly smoother = new Smoother();
  private order: Uint32Array | null = null;
  private epoch = -1;
  private weight = Number.NaN;

  constructor(readonly series: Series) {}

  get isSmoothed(): boolean {
    return this.smoothed !== this.raw;
  }

  /** Take the series as it is now. `origin` is where relative time starts. */
  update(axis: XAxis, smoothing: number, origin: number): void {
    const { steps, walls, values } = this.series;
    this.raw = values.view();
    this.smoothed = smoothing > 0 ? this.smoother.update(this.series, smoothing) : this.raw;
    if (axis === "step") this.xs = steps.view();
    else this.xs = axis === "wall" ? walls.view() : walls.view().map((wall) => wall - origin);
    const wasInOrder = this.order === null;
    this.order = null;
    if (axis !== "step" && !this.series.wallsAscend) this.sortByTime();
    const kept = wasInOrder && this.order === null && this.series.epoch === this.epoch;
    this.rawSelection.update(this.raw, kept);
    if (this.isSmoothed) this.smoothedSelection.update(this.smoothed, kept && smoothing === this.weight);
    this.epoch = this.series.epoch;
    this.weight = smoothing;
  }

  /** Choose the points to draw between `from` and `to` on `columns` pixels. */
  select(from: number, to: number, columns: number): void {
    this.rawSelection.select(this.xs, from, to, columns);
    if (this.isSmoothed) this.smoothedSelection.select(this.xs, from, to, columns);
    else this.smoothedSelection.count = 0;
  }

  /** The index in the series of the point at index `i` of this line. */
  indexOf(i: number): number {
    return this.order ? this.order[i] : i;
  }

  /** Two writers of one tag may interleave: in time their points are not in the order of their steps. */
  private sortByTime(): void {
    const { xs, raw, smoothed, isSmoothed } = this;
    const order = Uint32Array.from(xs, (_, i) => i).sort((a, b) => xs[a] - xs[b]);
    const sorted = (values: Float64Array) => Float64Array.from(order, (i) => values[i]);
    this.order = order;
    this.xs = sorted(xs);
    this.raw = sorted(raw);
    this.smoothed = isSmoothed ? sorted(smoothed) : this.raw;
  }
}
