import type uPlot from "uplot";
import { formatClock, formatDuration, formatTick } from "./format.ts";
import { logTicks } from "./scale.ts";
import type { XAxis, YScale } from "./settings.ts";

// uPlot scales this size by the screen's density, and reads whole numbers only.
const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const DIGIT_WIDTH = 6.4;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WHOLE = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();
const SECONDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30].concat(
  [1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  [1, 2, 3, 6, 12].map((n) => n * HOUR),
  [1, 2, 5, 10, 20, 50, 100, 200, 500].map((n) => n * DAY),
);

interface Colours {
  readonly axis: string;
  readonly grid: string;
}

export function xAxis(kind: XAxis, colours: Colours): uPlot.Axis {
  const axis: uPlot.Axis = {
    ...common(colours),
    size: 22,
    gap: 3,
    space: kind === "step" ? 52 : 64,
    values: (_, ticks, __, ___, increment) => ticks.map((tick) => formatX(kind, tick, increment)),
  };
  if (kind !== "wall") axis.incrs = kind === "step" ? WHOLE : SECONDS;
  return axis;
}

/** The room right of the plot that half of the last x label may need, in pixels. */
export function xOverhang(kind: XAxis): number {
  const longest = kind === "wall" ? "23:59:59" : "1.25M";
  return Math.ceil((longest.length * DIGIT_WIDTH) / 2) + 1;
}

export function yAxis(scale: YScale, colours: Colours): uPlot.Axis {
  const axis: uPlot.Axis = {
    ...common(colours),
    gap: 5,
    space: 26,
    size: (_, labels) => 12 + DIGIT_WIDTH * Math.max(4, ...(labels ?? []).map((label) => label?.length ?? 0)),
    values: (_, ticks, __, ___, increment) =>
      ticks.map((tick) => formatTick(tick, scale === "log" ? leastDigit(tick) : increment)),
  };
  if (scale === "log") {
    axis.splits = (plot, _, low, high) => logTicks(low, high, plot.height / 30);
    axis.filter = (_, ticks) => ticks;
  }
  return axis;
}

/** Colours are asked for with every drawing: they change with the page's theme. */
function common(colours: Colours): uPlot.Axis {
  return {
    font: FONT,
    stroke: () => colours.axis,
    grid: { stroke: () => colours.grid, width: 1 },
    ticks: { show: false },
    border: { show: false },
  };
}

function formatX(kind: XAxis, tick: number, increment: number): string {
  if (kind === "step") return formatTick(tick, increment);
  if (kind === "relative") return tick === 0 ? "0" : shortDuration(tick, increment);
  if (increment >= DAY)
    return new Date(tick * 1000).toLocaleDateString(undefined, { month: "short", day: "numeric" });
  return increment >= MINUTE ? formatClock(tick).slice(0, 5) : formatClock(tick);
}

/** `1:30` once there are minutes, `2h 30m` once there are hours: an axis has little room. */
function shortDuration(seconds: number, increment: number): string {
  const size = Math.abs(seconds);
  if (size < MINUTE) return formatDuration(seconds).replaceAll(" ", "");
  if (increment >= DAY) return `${Math.round(size / DAY)}d`;
  const hours = Math.floor(size / HOUR);
  const minutes = Math.floor((size % HOUR) / MINUTE);
  const rest = Math.round(size % MINUTE);
  if (increment >= HOUR) return `${hours}h`;
  if (increment >= MINUTE)
    return hours ? `${hours}h${minutes ? String(minutes).padStart(2, "0") : ""}` : `${minutes}m`;
  return `${hours * 60 + minutes}:${String(rest).padStart(2, "0")}`;
}

/** What one unit in a number's last significant digit is worth: 1-2-5 ticks are told apart by that. */
function leastDigit(tick: number): number {
  const size = Math.abs(tick);
  const power = Math.floor(Math.log10(size) + 1e-9);
  for (let digits = 0; digits < 4; digits++) {
    const unit = 10 ** (power - digits);
    if (Math.abs(size / unit - Math.round(size / unit)) < 1e-6) return unit;
  }
  return 10 ** (power - 3);
}
