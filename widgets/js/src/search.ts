/** The first index of ascending `xs`, between `start` and `stop`, whose value is at or above `x`; `stop` if there is none. */
export function lowerBound(xs: Float64Array, x: number, start = 0, stop = xs.length): number {
  let low = start;
  let high = stop;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index of ascending `xs` whose value is nearest to `x`, or -1 if there is none. */
export function nearest(xs: Float64Array, x: number): number {
  const after = lowerBound(xs, x);
  if (after === 0) return xs.length ? 0 : -1;
  if (after === xs.length) return after - 1;
  return x - xs[after - 1] <= xs[after] - x ? after - 1 : after;
}
