import { type Source, sourceId } from "./source.ts";
import type { Theme } from "./theme.ts";

/** Ten hues that stay apart, also for most readers who see fewer colours; the dark ones are the same hues, lighter. */
const LINES: Record<Theme, readonly string[]> = {
  light: [
    "#2a6fdb", "#e36a0d", "#129a74", "#c03a96", "#7754e0",
    "#b38600", "#0b8fab", "#d4403a", "#6b7b2b", "#68778d",
  ],
  dark: [
    "#6fa8ff", "#ff9d54", "#45cfa2", "#f07fca", "#a992ff",
    "#e2bd45", "#48c8e0", "#ff7d76", "#b4cf5b", "#a4b2c7",
  ],
}; // biome-ignore format: five to a line

/** The colours of one view: a source has one in all charts, and keeps it. */
export class Palette {
  theme: Theme = "light";
  axis = "#667";
  grid = "#eee";
  private readonly slots = new Map<string, number>();

  /** Give the sources that have no colour yet the next ones, in this order. */
  assign(sources: Iterable<Source>): void {
    for (const source of sources) this.slot(source);
  }

  line(source: Source): string {
    const colours = LINES[this.theme];
    return colours[this.slot(source) % colours.length];
  }

  /** Read the colours that the style sheet gives this theme. */
  adopt(theme: Theme, panel: Element): void {
    const style = getComputedStyle(panel);
    this.theme = theme;
    this.axis = style.getPropertyValue("--rc-faint").trim() || this.axis;
    this.grid = style.getPropertyValue("--rc-grid").trim() || this.grid;
  }

  private slot(source: Source): number {
    const id = sourceId(source);
    const slot = this.slots.get(id) ?? this.slots.size;
    this.slots.set(id, slot);
    return slot;
  }
}
