import { h, listen, setText } from "./dom.ts";
import type { Feed } from "./feed.ts";
import { formatClock, formatCount, formatDuration, formatValue } from "./format.ts";
import { Line } from "./line.ts";
import type { Palette } from "./palette.ts";
import { type DrawnLine, Plot, type Zoom } from "./plot.ts";
import { nearest } from "./search.ts";
import type { Series } from "./series.ts";
import type { XAxis, YScale } from "./settings.ts";
import { type Source, sourceId } from "./source.ts";
import type { Tooltip, TooltipRow } from "./tooltip.ts";

/** How a board wants its charts drawn just now. */
export interface Look {
  readonly x: XAxis;
  readonly y: YScale;
  readonly smoothing: number;
  /** Whether the y axis starts at zero, as that of a share does. */
  readonly fromZero: boolean;
}

/** What the charts of one board share. */
export interface Setting {
  readonly feed: Feed;
  readonly palette: Palette;
  readonly tooltip: Tooltip;
  readonly syncKey: string;
  readonly look: () => Look;
  readonly ink: (series: Series) => Source;
  readonly label: (series: Series) => string;
  readonly unit: (tag: string) => string;
  /** The source that a reader points at in the legend, if any. */
  readonly emphasis: () => string | null;
  /** Ask that this card be drawn in the next frame, if it is in sight. */
  readonly request: (card: Card) => void;
}

/** With more lines than this, the head of a card has no room for their values. */
const MOST_READOUTS = 3;
const FADED = 0.15;

/** One chart: a tag's lines, one for each source, with its title and values. */
export class Card {
  readonly element: HTMLElement;
  zoom: Zoom | null = null;
  inSight = false;
  stale = true;
  private readonly lines = new Map<Series, Line>();
  private readonly title = h("span", { class: "rc-card-title" });
  private readonly readout = h("span", { class: "rc-card-readout" });
  private readonly body = h("div", { class: "rc-plot", tabindex: 0, role: "img" });
  private readonly dots: HTMLElement[] = [];
  private plot: Plot | null = null;
  private plotLook: Look | null = null;
  private drawn: readonly DrawnLine[] = [];
  private cursor: number | null = null;
  private pointer: PointerEvent | null = null;

  constructor(
    readonly tag: string,
    title: string,
    private readonly setting: Setting,
    life: AbortSignal,
  ) {
    setText(this.title, title);
    this.title.title = tag;
    const expand = h("button", {
      class: "rc-icon rc-expand",
      type: "button",
      title: "Larger",
      "aria-pressed": "false",
    });
    expand.append(h("span", { class: "rc-expand-sign", "aria-hidden": "true" }));
    expand.setAttribute("aria-label", `Show ${tag} larger`);
    const head = h("div", { class: "rc-card-head" }, this.title, this.readout, expand);
    this.element = h("div", { class: "rc-card" }, head, this.body);
    listen(expand, "click", life, () => {
      const large = this.element.classList.toggle("rc-large");
      expand.setAttribute("aria-pressed", String(large));
    });
    listen(this.body, "pointermove", life, (event) => {
      this.pointer = event;
      this.showTooltip();
    });
    listen(this.body, "pointerleave", life, () => {
      this.pointer = null;
      this.setting.tooltip.hide();
    });
    listen(this.body, "keydown", life, (event) => this.onKey(event));
    listen(this.body, "blur", life, () => this.plot?.point(null));
  }

  get series(): readonly Series[] {
    return [...this.lines.keys()];
  }

  add(series: Series): void {
    if (!this.lines.has(series)) this.lines.set(series, new Line(series));
  }

  get isEmpty(): boolean {
    return this.series.every((series) => series.length === 0);
  }

  /** Draw what the series hold now, and return the newest point that is thereby shown. */
  draw(): { step: number; value: number } | null {
    const { feed, palette } = this.setting;
    const look = this.setting.look();
    const plot = this.plotFor(look);
    const emphasis = this.setting.emphasis();
    this.drawn = [...this.lines.values()]
      .filter(({ series }) => series.length && !feed.settings.hiddenSources.has(sourceId(series.key)))
      .map((line) => {
        const faded = emphasis !== null && emphasis !== sourceId(line.series.key);
        return {
          line,
          stroke: { colour: palette.line(this.setting.ink(line.series)), weight: faded ? FADED : 1 },
        };
      });
    for (const { line } of this.drawn) {
      line.update(look.x, look.smoothing, look.x === "relative" ? feed.origin(line.series.key) : 0);
    }
    plot.draw(this.drawn, this.zoom);
    this.stale = false;
    this.showReadout();
    if (this.pointer) this.showTooltip();
    return this.newest();
  }

  resize(): void {
    const { clientWidth, clientHeight } = this.body;
    if (!this.plot || !clientWidth || !clientHeight) return;
    this.plot.resize(clientWidth, clientHeight);
    this.stale = true;
  }

  /** Let go of the canvas; the next `draw` makes another. */
  release(): void {
    this.plot?.destroy();
    this.plot = null;
    this.plotLook = null;
    this.dots.length = 0;
    this.cursor = null;
    this.stale = true;
  }

  get bodyElement(): HTMLElement {
    return this.body;
  }

  private plotFor(look: Look): Plot {
    // uPlot fixes a scale's kind when it is made.
    if (this.plot && this.plotLook?.x === look.x && this.plotLook.y === look.y) return this.plot;
    if (this.plotLook && this.plotLook.x !== look.x) this.zoom = null;
    this.release();
    this.plotLook = look;
    this.plot = new Plot(this.body, this.tag, {
      ...look,
      palette: this.setting.palette,
      syncKey: this.setting.syncKey,
      onZoom: (zoom) => {
        this.zoom = zoom;
        this.setting.request(this);
      },
      onCursor: (x) => this.onCursor(x),
    });
    return this.plot;
  }

  private newest(): { step: number; value: number } | null {
    let newest: Series | null = null;
    for (const { line } of this.drawn) {
      if (!newest || line.series.last("walls") > newest.last("walls")) newest = line.series;
    }
    return newest && { step: newest.last("steps"), value: newest.last("values") };
  }

  private onCursor(x: number | null): void {
    if (x === this.cursor) return;
    this.cursor = x;
    this.showReadout();
    this.showDots();
    if (this.pointer) this.showTooltip();
  }

  /** The values in the card's head, as they were logged: at the crosshair, else the newest. */
  private showReadout(): void {
    if (this.drawn.length > MOST_READOUTS) {
      this.readout.replaceChildren();
      return;
    }
    const unit = this.setting.unit(this.tag);
    while (this.readout.children.length > this.drawn.length) this.readout.lastChild?.remove();
    this.drawn.forEach(({ line, stroke }, k) => {
      const i = this.cursor === null ? line.xs.length - 1 : nearest(line.xs, this.cursor);
      const value = this.readout.children[k] ?? this.readout.appendChild(h("span"));
      setText(value, i < 0 ? "" : formatValue(line.raw[i]) + unit);
      (value as HTMLElement).style.color = stroke.colour;
    });
    const last = this.newest();
    this.body.setAttribute(
      "aria-label",
      last ? `${this.tag}: ${formatValue(last.value)}${unit} at step ${last.step}` : `${this.tag}: no points`,
    );
  }

  private showDots(): void {
    const { plot, cursor } = this;
    if (!plot) return;
    this.drawn.forEach(({ line, stroke }, k) => {
      this.dots[k] ??= plot.box.appendChild(h("i", { class: "rc-dot" }));
      const i = cursor === null ? -1 : nearest(line.xs, cursor);
      const place = i < 0 ? null : plot.place(line.xs[i], line.smoothed[i]);
      this.dots[k].hidden = place === null;
      if (!place) return;
      this.dots[k].style.transform = `translate(${place.left}px, ${place.top}px)`;
      this.dots[k].style.background = stroke.colour;
    });
    for (const dot of this.dots.slice(this.drawn.length)) dot.hidden = true;
  }

  private showTooltip(): void {
    const { pointer, cursor, plot } = this;
    if (!pointer || cursor === null || !plot || !this.drawn.length) return;
    const box = plot.box.getBoundingClientRect();
    const points = this.drawn.map(({ line, stroke }) => {
      const i = nearest(line.xs, cursor);
      const place = plot.place(line.xs[i], line.smoothed[i]);
      const distance = place ? Math.abs(place.top - (pointer.clientY - box.top)) : Number.POSITIVE_INFINITY;
      return { line, stroke, i, across: Math.abs(line.xs[i] - cursor), distance };
    });
    const lead = points.reduce((best, point) => (point.across < best.across ? point : best));
    const closest = points.reduce((best, point) => (point.distance < best.distance ? point : best));
    const { steps, walls, key } = lead.line.series;
    const at = lead.line.indexOf(lead.i);
    const step = steps.at(at);
    const unit = this.setting.unit(this.tag);
    const rows = points
      .map(({ line, stroke, i, distance }): TooltipRow & { order: number } => {
        const own = line.series.steps.at(line.indexOf(i));
        return {
          colour: stroke.colour,
          label: this.setting.label(line.series),
          value: formatValue(line.smoothed[i]) + unit,
          raw: line.isSmoothed ? formatValue(line.raw[i]) : null,
          where: own === step ? null : `@ ${formatCount(own)}`,
          nearest: points.length > 1 && distance === closest.distance && Number.isFinite(distance),
          order: line.smoothed[i],
        };
      })
      .sort((a, b) => b.order - a.order);
    const heading = [
      `step ${formatCount(step)}`,
      formatDuration(walls.at(at) - this.setting.feed.origin(key)),
      formatClock(walls.at(at)),
    ];
    this.setting.tooltip.show(pointer.clientX, pointer.clientY, heading, rows);
  }

  /** The arrow keys walk along the longest line; Escape resets the zoom. */
  private onKey(event: KeyboardEvent): void {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape" && this.zoom) {
      this.zoom = null;
      this.setting.request(this);
    } else if (direction && this.plot && this.drawn.length) {
      const { xs } = this.drawn.reduce((a, b) => (b.line.xs.length > a.line.xs.length ? b : a)).line;
      const from = this.cursor === null ? xs.length - (direction < 0 ? 0 : 1) : nearest(xs, this.cursor);
      this.plot.point(xs[Math.max(0, Math.min(xs.length - 1, from + direction))]);
    } else return;
    // The notebook has meanings of its own for these keys.
    event.preventDefault();
    event.stopPropagation();
  }
}
