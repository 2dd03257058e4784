/** The first index of ascending `xs` whose value is at or above `x`. */
export function lowerBound(xs: ArrayLike<number>, x: number): number {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index of ascending `xs` whose value is nearest to `x`, or -1 if there is none. */
export function nearest(xs: ArrayLike<number>, x: number): number {
  const after = lowerBound(xs, x);
  if (after === 0) return xs.length ? 0 : -1;
  if (after === xs.length) return after - 1;
  return x - xs[after - 1] <= xs[after] - x ? after - 1 : after;
}
