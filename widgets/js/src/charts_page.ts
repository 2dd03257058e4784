import { Board, placeByPrefix } from "./board.ts";
import { h, setText } from "./dom.ts";
import type { Feed } from "./feed.ts";
import { countOf } from "./format.ts";
import { OLDER } from "./frame.ts";
import { Legend } from "./legend.ts";
import type { Palette } from "./palette.ts";
import { tagFilter } from "./settings.ts";
import { isScalar, isSystem, type Source, sourceId, sourceLabels } from "./source.ts";
import type { Page } from "./tabs.ts";
import { Toolbar } from "./toolbar.ts";
import type { Tooltip } from "./tooltip.ts";

/** The Charts tab: what the run measured. */
export class ChartsPage implements Page {
  readonly title = "Charts";
  readonly element: HTMLElement;
  readonly board: Board;
  private readonly legend: Legend;
  private readonly empty = h("div", { class: "rc-empty" });
  private readonly others = h("p", { class: "rc-note" });
  private shownEmpty = "";
  private labels = new Map<string, string>();

  constructor(
    private readonly feed: Feed,
    private readonly palette: Palette,
    tooltip: Tooltip,
    /** What to say of series that need TensorBoard's own pages. */
    private readonly whereOthersAre: string,
    life: AbortSignal,
  ) {
    const { settings } = feed;
    const scroller = h("div", { class: "rc-scroller" });
    this.board = new Board(
      {
        feed,
        palette,
        tooltip,
        scroller,
        syncKey: `runcast-${feed.uid}`,
        accepts: ({ key }) => isScalar(key) && !isSystem(key),
        matches: (tag) => tagFilter(settings.current.filter).matches(tag),
        look: () => ({ ...settings.current, fromZero: false }),
        chart: ({ key }) => key.tag,
        ink: ({ key }) => key,
        label: ({ key }) => this.labels.get(sourceId(key)) ?? key.source,
        unit: () => "",
        place: placeByPrefix,
      },
      life,
    );
    const toolbar = new Toolbar(settings, () => this.board.resetZoom(), life);
    this.board.zoomChanged.listen(life, () => {
      toolbar.canReset = this.board.isZoomed;
    });
    this.legend = new Legend({ settings, palette, onEmphasis: (id) => this.board.emphasise(id) }, life);
    scroller.append(this.empty, this.board.element, this.others);
    this.element = h("div", { class: "rc-page" }, toolbar.element, this.legend.element, scroller);
    for (const emitter of [feed.seriesChanged, feed.factsChanged, settings.changed]) {
      emitter.listen(life, () => this.refresh());
    }
    this.refresh();
  }

  /** Take the colours of the theme. */
  recolour(): void {
    this.legend.refresh();
    this.board.redraw();
  }

  private refresh(): void {
    const charted = this.feed.seriesInOrder.filter(({ key }) => isScalar(key) && !isSystem(key));
    const sources = new Map<string, Source>(charted.map(({ key }) => [sourceId(key), key]));
    this.labels = sourceLabels([...sources.values()]);
    this.palette.assign(sources.values());
    this.legend.show([...sources.values()]);
    this.showEmpty(charted.length);
    setText(this.others, this.describeOthers());
    this.others.hidden = !this.others.textContent;
  }

  private showEmpty(charted: number): void {
    const nothingMatches = charted > 0 && this.board.size === 0 && this.feed.settings.current.filter !== "";
    this.empty.hidden = charted > 0 && !nothingMatches;
    if (this.empty.hidden) return;
    const [headline, ...hints] = nothingMatches
      ? ["No tag matches the filter"]
      : this.feed.isReading
        ? ["Reading the points…", ...this.describeOlder()]
        : this.feed.state === "running"
          ? [
              "Waiting for the first point…",
              'Run a cell that writes to TensorBoard, as writer.add_scalar("loss", loss, step) does. Nothing else is needed.',
              ...this.describeOlder(),
            ]
          : ["No scalar was recorded", ...this.describeOlder()];
    const texts = [headline, ...hints].join();
    if (this.shownEmpty === texts) return;
    this.shownEmpty = texts;
    this.empty.replaceChildren(h("strong", {}, headline), ...hints.map((hint) => h("span", {}, hint)));
    this.empty.classList.toggle("rc-waiting", headline.endsWith("…"));
  }

  /** Why there is nothing to see of files that are there, if any. */
  private describeOlder(): string[] {
    const count = this.feed.files.filter(({ state }) => state === OLDER).length;
    if (!count) return [];
    const [are, they, have] = count === 1 ? ["is", "it", "has"] : ["are", "they", "have"];
    return [
      `${countOf(count, "older event file")} ${are} left out: ${they} ${have} not grown since the run started.`,
    ];
  }

  /** `3 image and 2 histogram series: …`, of what lines cannot show. */
  private describeOthers(): string {
    const counts = new Map<string, number>();
    for (const { key } of this.feed.seriesById.values()) {
      if (!isScalar(key)) counts.set(key.plugin, (counts.get(key.plugin) ?? 0) + 1);
    }
    if (!counts.size) return "";
    const kinds = [...counts].map(
      ([plugin, count]) => `${count} ${plugin.replace(/s$/, "").replaceAll("_", " ")}`,
    );
    const list = new Intl.ListFormat("en").format(kinds);
    return `${list} series: ${this.whereOthersAre}`;
  }
}
