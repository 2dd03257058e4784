/** Numbers, times and sizes as a reader wants them. */

const MINUS = "−";
const NBSP = " ";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const dateAndTime = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "short",
  hour12: false,
});

/** A value with about four significant digits. */
export function formatValue(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e7 || size < 1e-4) return exponent(value, 3);
  if (size >= 1e4) return signed(whole.format(size), value);
  return signed(String(Number(size.toPrecision(4))), value);
}

/** A value at the ticks of an axis whose neighbours are `increment` apart. */
export function formatTick(value: number, increment: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-4) return exponent(value, 2);
  for (const [scale, letter] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (size >= scale && (scale > 1e3 || size >= 1e4))
      return signed(`${decimals(size / scale, increment / scale)}${letter}`, value);
  }
  return signed(decimals(size, increment), value);
}

export function formatCount(count: number): string {
  return whole.format(count);
}

/** `1 point`, `2,000 points`. */
export function countOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Seconds as the two largest units that matter: `1 m 32 s`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 0) return MINUS + formatDuration(-seconds);
  if (seconds < 10) return `${Number(seconds.toFixed(seconds < 1 ? 2 : 1))}${NBSP}s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s}${NBSP}s`;
  if (s < 3600) return `${Math.floor(s / 60)}${NBSP}m${NBSP}${pad(s % 60)}${NBSP}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}${NBSP}h${NBSP}${pad(Math.floor((s % 3600) / 60))}${NBSP}m`;
  return `${Math.floor(s / 86400)}${NBSP}d${NBSP}${Math.floor((s % 86400) / 3600)}${NBSP}h`;
}

/** How long ago `then` was, both in seconds since the epoch. */
export function formatAgo(then: number, now: number): string {
  const seconds = now - then;
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)}${NBSP}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${NBSP}min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}${NBSP}h ago`;
  return formatDate(then);
}

export function formatClock(seconds: number): string {
  return clock.format(seconds * 1000);
}

export function formatDate(seconds: number): string {
  return dateAndTime.format(seconds * 1000);
}

export function formatDay(seconds: number): string {
  return day.format(seconds * 1000);
}

export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = 0;
  while (Math.abs(size) >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit ? Number(size.toPrecision(3)) : size}${NBSP}${units[unit]}`;
}

function exponent(value: number, digits: number): string {
  const [mantissa, power] = Math.abs(value)
    .toExponential(digits - 1)
    .split("e");
  return signed(`${Number(mantissa)}e${power.replace("+", "").replace("-", MINUS)}`, value);
}

/** As many decimals as it takes to tell neighbours apart. */
function decimals(size: number, increment: number): string {
  let places = 0;
  for (let unit = increment; places < 12 && Math.abs(unit - Math.round(unit)) > 1e-6 * unit; unit *= 10)
    places++;
  return size.toFixed(places);
}

function signed(text: string, value: number): string {
  return value < 0 ? MINUS + text : text;
}

function pad(part: number): string {
  return String(part).padStart(2, "0");
}
