import { Board } from "./board.ts";
import { h } from "./dom.ts";
import type { Feed } from "./feed.ts";
import type { Palette } from "./palette.ts";
import { isScalar, isSystem, OWN } from "./source.ts";
import { systemChart, systemLabel, systemNumber, systemTitle, unitOf } from "./system_tag.ts";
import type { Page } from "./tabs.ts";
import type { Tooltip } from "./tooltip.ts";

/** The System tab: what the machine did meanwhile. */
export class SystemPage implements Page {
  readonly title = "System";
  readonly element: HTMLElement;
  readonly board: Board;

  constructor(
    feed: Feed,
    /** Not that of the Charts tab: here colours tell cores and GPUs apart. */
    palette: Palette,
    tooltip: Tooltip,
    life: AbortSignal,
  ) {
    palette.assign([{ root: OWN, source: "0" }]);
    const scroller = h("div", { class: "rc-scroller rc-system" });
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
        chart: ({ key }) => systemChart(key.tag),
        ink: ({ key }) => ({ root: key.root, source: String(systemNumber(key.tag)) }),
        label: ({ key }) => systemLabel(key.tag),
        unit: unitOf,
        place: (tag) => ["", systemTitle(tag)],
      },
      life,
    );
    const empty = h("div", { class: "rc-empty" }, h("strong", {}, "No system metrics yet"));
    empty.append(h("span", {}, "CPU, memory, disk, network and GPUs are measured while the run goes on."));
    scroller.append(empty, this.board.element);
    this.element = h("div", { class: "rc-page" }, scroller);
    const refresh = () => {
      empty.hidden = [...feed.seriesById.values()].some(({ key }) => isSystem(key));
    };
    feed.seriesChanged.listen(life, refresh);
    refresh();
  }
}
