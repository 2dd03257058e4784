import { Column } from "./column.ts";
import type { Series } from "./series.ts";

/**
 * TensorBoard's smoothing: an exponential moving average that starts at zero and is corrected for that start.
 *
 * Values that are not finite pass through and leave the average alone; a series that has been constant so far is left exactly as it is.
 * Points are smoothed once, as they come.
 */
export class Smoother {
  private readonly smoothed = new Column();
  private weight = Number.NaN;
  private epoch = -1;
  private average = 0;
  /** The weight to the power of the values so far: what the start at zero still counts for. */
  private decay = 1;
  private constant = true;

  /** The smoothed values of all points, valid until the next call. */
  update(series: Series, weight: number): Float64Array {
    if (weight !== this.weight || series.epoch !== this.epoch) this.restart(series.epoch, weight);
    const values = series.values.view();
    for (let i = this.smoothed.length; i < values.length; i++)
      this.smoothed.push(this.next(values[i], values[0]));
    return this.smoothed.view();
  }

  private next(value: number, first: number): number {
    if (!Number.isFinite(value)) return value;
    this.constant &&= value === first;
    this.average = this.average * this.weight + (1 - this.weight) * value;
    this.decay *= this.weight;
    return this.constant ? value : this.average / (1 - this.decay);
  }

  private restart(epoch: number, weight: number): void {
    this.smoothed.truncate(0);
    this.weight = weight;
    this.epoch = epoch;
    this.average = 0;
    this.decay = 1;
    this.constant = true;
  }
}
