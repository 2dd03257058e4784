import uPlot from "uplot";
import { xAxis, xOverhang, yAxis } from "./axes.ts";
import type { Line } from "./line.ts";
import { isDrawable, type Picture, paintLine, type Stroke, yPixel } from "./paint.ts";
import type { Palette } from "./palette.ts";
import { type Range, roomyRange, tightRange } from "./scale.ts";
import type { XAxis, YScale } from "./settings.ts";

/** What a reader zoomed to; an axis that is absent follows the points. */
export interface Zoom {
  readonly x?: Range;
  readonly y?: Range;
}

export interface PlotOptions {
  readonly x: XAxis;
  readonly y: YScale;
  readonly fromZero: boolean;
  readonly palette: Palette;
  /** Plots with the same key show their crosshairs at the same x. */
  readonly syncKey: string;
  readonly onZoom: (zoom: Zoom | null) => void;
  /** The crosshair is at this x, by the pointer or by another plot's; `null` when it has gone. */
  readonly onCursor: (x: number | null) => void;
}

export interface DrawnLine {
  readonly line: Line;
  readonly stroke: Stroke;
}

/** A drag shorter than this is a click. */
const SHORTEST_DRAG = 6;
const NOTHING: uPlot.AlignedData = [
  [0, 1],
  [null, null],
];

/**
 * One chart's canvas: uPlot for axes, crosshair and zoom, and our own strokes, because lines need neither
 * a common x nor more points than the canvas has pixels.
 */
export class Plot {
  private readonly plot: uPlot;
  private lines: readonly DrawnLine[] = [];
  private x: Range = [0, 1];
  private y: Range = [0, 1];

  constructor(
    container: HTMLElement,
    tag: string,
    private readonly options: PlotOptions,
  ) {
    const { palette, x, y } = options;
    const colours = { get axis() { return palette.axis; }, get grid() { return palette.grid; } }; // biome-ignore format: one idea
    this.plot = new uPlot(
      {
        width: container.clientWidth,
        height: container.clientHeight,
        padding: [6, xOverhang(x), 0, 0],
        legend: { show: false },
        scales: {
          x: { time: x === "wall", range: () => [...this.x] },
          y: { distr: y === "log" ? 3 : 1, range: () => [...this.y] },
        },
        axes: [xAxis(x, colours), yAxis(y, colours)],
        series: [{}, { paths: () => null, points: { show: false } }],
        cursor: {
          y: false,
          points: { show: false },
          drag: { x: true, y: true, uni: 24, dist: SHORTEST_DRAG, setScale: false },
          sync: { key: options.syncKey, scales: ["x", null], filters: { sub: (type) => !/^(mousedown|mouseup|dblclick)$/.test(type) } },
          bind: { dblclick: () => () => { options.onZoom(null); return null; } },
        },
        hooks: {
          draw: [() => this.paint()],
          setSelect: [() => this.zoomToSelection()],
          setCursor: [({ cursor }) => options.onCursor(cursor.left! < 0 ? null : this.plot.posToVal(cursor.left!, "x"))],
        },
      },
      NOTHING,
      container,
    ); // biome-ignore format: a table of options
    this.plot.ctx.canvas.dataset.tag = tag;
  }

  /** Draw these lines, in this frame. */
  draw(lines: readonly DrawnLine[], zoom: Zoom | null): void {
    const log = this.options.y === "log";
    this.lines = lines;
    this.x =
      zoom?.x ?? tightRange(...extent(lines.map(({ line }) => [line.xs[0], line.xs[line.xs.length - 1]])));
    for (const { line } of lines) line.select(...this.x, this.plot.width);
    this.y = zoom?.y ?? this.fullY(extent(lines.map(({ line }) => selectedExtent(line, log))));
    this.plot.setData([[...this.x], [null, null]]);
  }

  resize(width: number, height: number): void {
    if (width !== this.plot.width || height !== this.plot.height) this.plot.setSize({ width, height });
  }

  /** The place of a point in the chart's box, in pixels of the page, or `null` if it is outside. */
  place(x: number, value: number): { readonly left: number; readonly top: number } | null {
    const picture = this.picture();
    if (!isDrawable(value, picture.log)) return null;
    const left = this.plot.valToPos(x, "x");
    const top = (yPixel(picture, value) - picture.top) / picture.density;
    const { clientWidth, clientHeight } = this.plot.over;
    return left >= 0 && left <= clientWidth && top >= 0 && top <= clientHeight ? { left, top } : null;
  }

  /** The box inside the axes, for what floats above the canvas. */
  get box(): HTMLElement {
    return this.plot.over;
  }

  /** Put the crosshair at this x, here and in the plots in step with this one; `null` takes it away. */
  point(x: number | null): void {
    const left = x === null ? -10 : this.plot.valToPos(x, "x");
    const { clientWidth, clientHeight } = this.plot.over;
    const top = clientHeight / 2;
    this.plot.setCursor({ left, top }, true);
    uPlot.sync(this.options.syncKey).pub("mousemove", this.plot, left, top, clientWidth, clientHeight, 0);
  }

  destroy(): void {
    this.plot.destroy();
  }

  private fullY([low, high]: Range): Range {
    if (!this.options.fromZero || low < 0) return roomyRange(low, high, this.options.y === "log");
    return [0, roomyRange(0, Math.max(high, 0), false)[1]];
  }

  private picture(): Picture {
    const { left, top, width, height } = this.plot.bbox;
    const { x, y } = this;
    return { left, top, width, height, x, y, log: this.options.y === "log", density: uPlot.pxRatio };
  }

  private paint(): void {
    const { ctx } = this.plot;
    const picture = this.picture();
    const room = 2 * picture.density;
    ctx.save();
    ctx.beginPath();
    ctx.rect(picture.left - room, picture.top - room, picture.width + 2 * room, picture.height + 2 * room);
    ctx.clip();
    for (const { line, stroke } of this.lines) paintLine(ctx, picture, line, stroke);
    ctx.restore();
  }

  private zoomToSelection(): void {
    const { left, top, width, height } = this.plot.select;
    const { clientWidth, clientHeight } = this.plot.over;
    if (width < SHORTEST_DRAG && height < SHORTEST_DRAG) return;
    const at = (pixel: number, scale: "x" | "y") => this.plot.posToVal(pixel, scale);
    this.plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.options.onZoom({
      ...(width < clientWidth && { x: [at(left, "x"), at(left + width, "x")] }),
      ...(height < clientHeight && { y: [at(top + height, "y"), at(top, "y")] }),
    });
  }
}

/** The range of what a line draws, values without a place on the scale left out. */
function selectedExtent(line: Line, log: boolean): Range {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const [values, { indexes, count }] of [
    [line.raw, line.rawSelection],
    [line.smoothed, line.smoothedSelection],
  ] as const) {
    for (let k = 0; k < count; k++) {
      const value = values[indexes[k]];
      if (!isDrawable(value, log)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
}

function extent(ranges: readonly Range[]): Range {
  const known = ranges.filter(([low, high]) => low <= high);
  return [Math.min(...known.map(([low]) => low)), Math.max(...known.map(([, high]) => high))];
}
