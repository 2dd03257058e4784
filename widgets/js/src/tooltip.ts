import { h } from "./dom.ts";

const GAP = 14;
const MOST_ROWS = 12;

export interface TooltipRow {
  readonly colour: string;
  readonly label: string;
  readonly value: string;
  /** What was measured, where `value` is smoothed. */
  readonly raw: string | null;
  /** Where this point stands, if not where the tooltip's heading says. */
  readonly where: string | null;
  readonly nearest: boolean;
}

/** The values under the crosshair, in a box that stays inside the panel. */
export class Tooltip {
  readonly element = h("div", { class: "rc-tooltip", role: "status", hidden: true });

  constructor(private readonly panel: HTMLElement) {}

  /** Show the rows beside a point of the page. */
  show(clientX: number, clientY: number, heading: readonly string[], rows: readonly TooltipRow[]): void {
    const shown = rows.slice(0, MOST_ROWS);
    this.element.replaceChildren(
      h("div", { class: "rc-tooltip-heading" }, ...heading.map((text) => h("span", {}, text))),
      h("div", { class: "rc-tooltip-rows" }, ...shown.map(rowElement)),
    );
    if (rows.length > shown.length) {
      this.element.append(h("div", { class: "rc-tooltip-rest" }, `and ${rows.length - shown.length} more`));
    }
    this.element.hidden = false;
    this.placeBeside(clientX, clientY);
  }

  hide(): void {
    this.element.hidden = true;
  }

  private placeBeside(clientX: number, clientY: number): void {
    const outer = this.panel.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const x = clientX - outer.left;
    const fitsRight = x + GAP + width <= outer.width;
    const left = fitsRight ? x + GAP : x - GAP - width;
    const top = clientY - outer.top - height / 2;
    this.element.style.left = `${clamp(left, 4, outer.width - width - 4)}px`;
    this.element.style.top = `${clamp(top, 4, outer.height - height - 4)}px`;
  }
}

function rowElement({ colour, label, value, raw, where, nearest }: TooltipRow): HTMLElement {
  const swatch = h("i", { class: "rc-swatch" });
  swatch.style.background = colour;
  return h(
    "div",
    { class: nearest ? "rc-tooltip-row rc-nearest" : "rc-tooltip-row" },
    swatch,
    h("span", { class: "rc-tooltip-label" }, label),
    h("b", {}, value),
    h("span", { class: "rc-tooltip-raw" }, raw ?? ""),
    h("span", { class: "rc-tooltip-raw" }, where ?? ""),
  );
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(value, high));
}
