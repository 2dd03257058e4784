/** As many points are summed up in one block. */
const BLOCK = 32;

/**
 * Where the lowest, the highest and a non-finite value of any stretch of a growing column are, without looking at every point:
 * whole blocks are looked at once, when they are complete.
 */
export class Extremes {
  low = -1;
  high = -1;
  odd = -1;
  private lows = new Int32Array(0);
  private highs = new Int32Array(0);
  private odds = new Int32Array(0);
  private blocks = 0;
  private values: Float64Array = new Float64Array(0);

  /** Take the column as it is now; `kept` says that its earlier values are those of the last call. */
  update(values: Float64Array, kept: boolean): void {
    if (!kept) this.blocks = 0;
    this.values = values;
    const complete = Math.floor(values.length / BLOCK);
    this.reserve(complete);
    for (; this.blocks < complete; this.blocks++) {
      this.clear();
      this.scan(this.blocks * BLOCK, (this.blocks + 1) * BLOCK);
      this.lows[this.blocks] = this.low;
      this.highs[this.blocks] = this.high;
      this.odds[this.blocks] = this.odd;
    }
  }

  /** Set `low`, `high` and `odd` to the indexes of such values in `[start, stop)`, or to -1 where there are none. */
  find(start: number, stop: number): void {
    this.clear();
    const first = Math.ceil(start / BLOCK);
    const last = Math.min(this.blocks, Math.floor(stop / BLOCK));
    if (first >= last) {
      this.scan(start, stop);
      return;
    }
    const { values, lows, highs, odds } = this;
    this.scan(start, first * BLOCK);
    for (let block = first; block < last; block++) {
      const low = lows[block];
      const high = highs[block];
      if (low >= 0 && (this.low < 0 || values[low] < values[this.low])) this.low = low;
      if (high >= 0 && (this.high < 0 || values[high] > values[this.high])) this.high = high;
      if (odds[block] >= 0) this.odd = odds[block];
    }
    this.scan(last * BLOCK, stop);
  }

  private clear(): void {
    this.low = -1;
    this.high = -1;
    this.odd = -1;
  }

  private scan(start: number, stop: number): void {
    const { values } = this;
    let { low, high, odd } = this;
    let least = low < 0 ? Number.POSITIVE_INFINITY : values[low];
    let most = high < 0 ? Number.NEGATIVE_INFINITY : values[high];
    for (let i = start; i < stop; i++) {
      const value = values[i];
      // The difference of a number that is not finite and itself is NaN.
      if (value - value !== 0) odd = i;
      else {
        if (value < least) {
          least = value;
          low = i;
        }
        if (value > most) {
          most = value;
          high = i;
        }
      }
    }
    this.low = low;
    this.high = high;
    this.odd = odd;
  }

  private reserve(blocks: number): void {
    if (blocks <= this.lows.length) return;
    const capacity = Math.max(64, 2 * blocks);
    const grow = (old: Int32Array<ArrayBuffer>) => {
      const grown = new Int32Array(capacity);
      grown.set(old);
      return grown;
    };
    this.lows = grow(this.lows);
    this.highs = grow(this.highs);
    this.odds = grow(this.odds);
  }
}
