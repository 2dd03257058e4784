import type { Selection } from "./decimation.ts";
import type { Line } from "./line.ts";
import type { Range } from "./scale.ts";

/** Where a chart draws on its canvas, in canvas pixels, and what its axes show. */
export interface Picture {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly x: Range;
  readonly y: Range;
  readonly log: boolean;
  /** Canvas pixels for each pixel of the page. */
  readonly density: number;
}

export interface Stroke {
  readonly colour: string;
  /** 0 to 1: how much this line stands out. */
  readonly weight: number;
}

/** Points this far apart are drawn as dots too. */
const DOT_SPACING = 12;
const RAW_ALPHA = 0.28;

/** Draw one line: what was measured, faint if a smoothed line stands before it. */
export function paintLine(
  context: CanvasRenderingContext2D,
  picture: Picture,
  line: Line,
  stroke: Stroke,
): void {
  const { density } = picture;
  context.strokeStyle = stroke.colour;
  context.fillStyle = stroke.colour;
  context.lineJoin = "round";
  context.lineCap = "round";
  context.globalAlpha = stroke.weight * (line.isSmoothed ? RAW_ALPHA : 1);
  context.lineWidth = (line.isSmoothed ? 1 : 1.6) * density;
  const dots = paintPath(context, picture, line.xs, line.raw, line.rawSelection);
  if (line.isSmoothed) {
    context.globalAlpha = stroke.weight;
    context.lineWidth = 1.8 * density;
    paintPath(context, picture, line.xs, line.smoothed, line.smoothedSelection);
  }
  const sparse = line.rawSelection.count * DOT_SPACING * density < picture.width;
  context.globalAlpha = stroke.weight * (line.isSmoothed && line.rawSelection.count > 1 ? 0.5 : 1);
  paintDots(context, picture, line, sparse ? null : dots, (sparse ? 2 : 1.8) * density);
  context.globalAlpha = stroke.weight;
  paintMarks(context, picture, line);
  context.globalAlpha = 1;
}

/** Whether the scale has a place for this value. */
export function isDrawable(value: number, log: boolean): boolean {
  return Number.isFinite(value) && (!log || value > 0);
}

/** The canvas pixel of a value; a logarithmic scale must have a place for it. */
export function yPixel(picture: Picture, value: number): number {
  const [low, high] = picture.y;
  const share = picture.log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return picture.top + picture.height * (1 - share);
}

export function xPixel(picture: Picture, x: number): number {
  const [low, high] = picture.x;
  return picture.left + (picture.width * (x - low)) / (high - low);
}

/** Stroke the chosen points and return those that stand alone, which no stroke shows. */
function paintPath(
  context: CanvasRenderingContext2D,
  picture: Picture,
  xs: Float64Array,
  ys: Float64Array,
  { indexes, count }: Selection,
): number[] {
  const alone: number[] = [];
  let run = 0;
  context.beginPath();
  for (let k = 0; k <= count; k++) {
    const i = indexes[k];
    if (k < count && isDrawable(ys[i], picture.log)) {
      const x = xPixel(picture, xs[i]);
      const y = yPixel(picture, ys[i]);
      if (run++) context.lineTo(x, y);
      else context.moveTo(x, y);
    } else {
      if (run === 1) alone.push(indexes[k - 1]);
      run = 0;
    }
  }
  context.stroke();
  return alone;
}

function paintDots(
  context: CanvasRenderingContext2D,
  picture: Picture,
  { xs, raw, rawSelection }: Line,
  only: readonly number[] | null,
  radius: number,
): void {
  const chosen = only ?? rawSelection.indexes.subarray(0, rawSelection.count);
  context.beginPath();
  for (const i of chosen) {
    if (!isDrawable(raw[i], picture.log)) continue;
    const x = xPixel(picture, xs[i]);
    const y = yPixel(picture, raw[i]);
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, 2 * Math.PI);
  }
  context.fill();
}

/** Mark at the edge what has no place on the scale: up for +∞, down for −∞ and for what a logarithm cannot show, a cross for NaN. */
function paintMarks(
  context: CanvasRenderingContext2D,
  picture: Picture,
  { xs, raw, rawSelection }: Line,
): void {
  const size = 3.5 * picture.density;
  context.beginPath();
  const crosses: number[] = [];
  let lastX = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < rawSelection.count; k++) {
    const i = rawSelection.indexes[k];
    if (isDrawable(raw[i], picture.log)) continue;
    const x = xPixel(picture, xs[i]);
    if (x - lastX < size) continue;
    lastX = x;
    if (Number.isNaN(raw[i])) {
      crosses.push(x);
      continue;
    }
    const up = raw[i] > 0;
    const edge = up ? picture.top : picture.top + picture.height;
    const inside = up ? edge + 2 * size : edge - 2 * size;
    context.moveTo(x, edge);
    context.lineTo(x - size, inside);
    context.lineTo(x + size, inside);
    context.closePath();
  }
  context.fill();
  context.lineWidth = 1.3 * picture.density;
  context.beginPath();
  const bottom = picture.top + picture.height - 1.5 * size;
  const arm = size * 0.75;
  for (const x of crosses) {
    context.moveTo(x - arm, bottom - arm);
    context.lineTo(x + arm, bottom + arm);
    context.moveTo(x - arm, bottom + arm);
    context.lineTo(x + arm, bottom - arm);
  }
  context.stroke();
}
