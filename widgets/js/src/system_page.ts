import { Board } from "./board.ts";
import { h } from "./dom.ts";
import type { Feed } from "./feed.ts";
import type { Palette } from "./palette.ts";
import { isScalar, isSystem } from "./source.ts";
import type { Page } from "./tabs.ts";
import type { Tooltip } from "./tooltip.ts";

/** Units that the recorder writes at the end of its tags. */
const UNITS: readonly (readonly [RegExp, string])[] = [
  [/(^|[_/])percent$/, " %"],
  [/_gb_s$/, " GB/s"],
  [/_mb_s$/, " MB/s"],
  [/_gb$/, " GB"],
  [/_mb$/, " MB"],
  [/_(c|celsius)$/, " °C"],
  [/_(w|watts?)$/, " W"],
  [/_mhz$/, " MHz"],
];

export function unitOf(tag: string): string {
  return UNITS.find(([pattern]) => pattern.test(tag))?.[1] ?? "";
}

const NAMES: readonly (readonly [RegExp, string])[] = [
  [/\bcpu\b/g, "CPU"],
  [/\bgpu(\d*)\b/g, "GPU $1"],
  [/\brss\b/g, "RSS"],
];

/** A tag in words, its unit left out: `gpu0/utilization_percent` is "GPU 0 utilization". */
export function systemTitle(tag: string): string {
  const unit = UNITS.find(([pattern]) => pattern.test(tag))?.[0];
  const words = (unit ? tag.replace(unit, "") : tag).replace(/[/_]+/g, " ").trim();
  const title = NAMES.reduce((text, [pattern, name]) => text.replace(pattern, name), words);
  return title.charAt(0).toUpperCase() + title.slice(1);
}

/** The System tab: what the machine did meanwhile. */
export class SystemPage implements Page {
  readonly title = "System";
  readonly element: HTMLElement;
  readonly board: Board;

  constructor(
    feed: Feed,
    /** Not that of the Charts tab: here every line is of the one source. */
    palette: Palette,
    tooltip: Tooltip,
    life: AbortSignal,
  ) {
    const scroller = h("div", { class: "rc-scroller" });
    this.board = new Board(
      {
        feed,
        palette,
        tooltip,
        scroller,
        syncKey: `runcast-system-${feed.uid}`,
        accepts: ({ key }) => isScalar(key) && isSystem(key),
        matches: () => true,
        look: () => ({ x: "relative", y: "linear", smoothing: 0, fromZero: true }),
        label: ({ key }) => key.tag,
        unit: unitOf,
        place: (tag) => ["", systemTitle(tag)],
      },
      life,
    );
    const empty = h("div", { class: "rc-empty" }, h("strong", {}, "No system metrics yet"));
    empty.append(
      h("span", {}, "CPU, memory, disk, network and NVIDIA GPUs are measured while the run goes on."),
    );
    scroller.append(empty, this.board.element);
    this.element = h("div", { class: "rc-page" }, scroller);
    const refresh = () => {
      empty.hidden = [...feed.seriesById.values()].some(({ key }) => isSystem(key));
    };
    feed.seriesChanged.listen(life, refresh);
    refresh();
  }
}
