/** The range of a chart's axis, and its ticks where uPlot's own do not fit. */

export type Range = readonly [low: number, high: number];

const ROOM = 0.06;

/** The range of an axis that shows `low` to `high` with a little room; a single value stands in its middle. */
export function roomyRange(low: number, high: number, log: boolean): Range {
  if (!(low <= high)) return log ? [0.1, 10] : [0, 1];
  if (log) {
    const room = low === high ? 2 : (high / low) ** ROOM;
    return [low / room, high * room];
  }
  const room = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * ROOM;
  return [low - room, high + room];
}

/** The x axis has no room at its ends; a single point stands in the middle. */
export function tightRange(low: number, high: number): Range {
  if (!(low <= high)) return [0, 1];
  return low === high ? [low - 1, high + 1] : [low, high];
}

/** Ticks of a logarithmic axis: powers of ten, or 1-2-5 steps where there are few of those, or even steps where there are none. */
export function logTicks(low: number, high: number, most: number): number[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const each = Math.max(1, Math.ceil((last - first) / Math.max(1, most)));
  for (const digits of [[1], [1, 2, 5]]) {
    const ticks = [];
    for (let power = first; power <= last; power += digits.length > 1 ? 1 : each) {
      for (const digit of digits) ticks.push(digit * 10 ** power);
    }
    const inside = ticks.filter((tick) => tick >= low && tick <= high);
    if (inside.length >= 3) return inside;
  }
  return evenTicks(low, high, most);
}

function evenTicks(low: number, high: number, most: number): number[] {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const increment = power * ([1, 2, 5, 10].find((digit) => digit * power >= rough) ?? 10);
  const ticks = [];
  for (let i = Math.ceil(low / increment); i * increment <= high; i++) ticks.push(i * increment);
  return ticks;
}
