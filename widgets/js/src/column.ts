const FIRST_CAPACITY = 64;

/** A growable column of numbers; `view()` is valid until the next change. */
export class Column {
  private buffer = new Float64Array(0);
  private used = 0;

  get length(): number {
    return this.used;
  }

  view(): Float64Array {
    return this.buffer.subarray(0, this.used);
  }

  at(index: number): number {
    return this.buffer[index];
  }

  append(values: ArrayLike<number>): void {
    this.reserve(this.used + values.length);
    this.buffer.set(values, this.used);
    this.used += values.length;
  }

  push(value: number): void {
    this.reserve(this.used + 1);
    this.buffer[this.used++] = value;
  }

  truncate(length: number): void {
    this.used = Math.min(this.used, length);
  }

  private reserve(length: number): void {
    if (length <= this.buffer.length) return;
    const grown = new Float64Array(Math.max(FIRST_CAPACITY, length, this.buffer.length * 2));
    grown.set(this.view());
    this.buffer = grown;
  }
}
