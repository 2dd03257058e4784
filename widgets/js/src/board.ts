import { Card, type Look } from "./card.ts";
import { atEnd, h, listen, setText } from "./dom.ts";
import { Emitter } from "./emitter.ts";
import type { Feed } from "./feed.ts";
import type { Palette } from "./palette.ts";
import type { Series } from "./series.ts";
import type { Source } from "./source.ts";
import type { Tooltip } from "./tooltip.ts";

/** Cards this many pixels out of sight are drawn already. */
const AHEAD = 250;
/** Charts are as wide as the largest group allows, and as wide in every other group. */
const FEWEST_COLUMNS = 2;
const MOST_COLUMNS = 4;

export interface BoardOptions {
  readonly feed: Feed;
  readonly palette: Palette;
  readonly tooltip: Tooltip;
  /** The element that scrolls. */
  readonly scroller: HTMLElement;
  readonly syncKey: string;
  readonly accepts: (series: Series) => boolean;
  readonly matches: (tag: string) => boolean;
  readonly look: () => Look;
  /** The name of the chart that a series is in: its tag, as a rule. */
  readonly chart: (series: Series) => string;
  /** What a series has its colour for. */
  readonly ink: (series: Series) => Source;
  readonly label: (series: Series) => string;
  readonly unit: (tag: string) => string;
  /** The group and the title of a chart; charts of the group "" come first and have no heading. */
  readonly place: (tag: string) => readonly [group: string, title: string];
}

interface Group {
  readonly element: HTMLElement;
  readonly grid: HTMLElement;
  readonly head: HTMLButtonElement;
  readonly count: HTMLElement;
  readonly name: string;
  readonly cards: Card[];
}

const naturally = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** A grid of charts in groups, drawn in animation frames, and only where they are in sight. */
export class Board {
  readonly element = h("div", { class: "rc-board" });
  readonly zoomChanged = new Emitter();
  private readonly cards = new Map<string, Card>();
  private readonly groups = new Map<string, Group>();
  private readonly cardOf = new WeakMap<Element, Card>();
  private readonly sight: IntersectionObserver;
  private readonly page: IntersectionObserver;
  private readonly sizes: ResizeObserver;
  private onPage = true;
  private arranged = false;
  private frame = 0;
  private emphasised: string | null = null;

  constructor(
    private readonly options: BoardOptions,
    private readonly life: AbortSignal,
  ) {
    this.sight = new IntersectionObserver((entries) => this.onSight(entries), {
      root: options.scroller,
      rootMargin: `${AHEAD}px 0px`,
    });
    this.page = new IntersectionObserver((entries) => {
      // Several changes may come at once, in order: a form that is made hidden and shown at once brings two.
      this.onPage = entries.at(-1)?.isIntersecting ?? this.onPage;
      this.schedule();
    });
    this.page.observe(this.element);
    this.sizes = new ResizeObserver((entries) => {
      for (const { target } of entries) this.cardOf.get(target)?.resize();
      this.schedule();
    });
    options.feed.pointsChanged.listen(life, (series) => this.onPoints(series));
    options.feed.seriesChanged.listen(life, () => this.rearrange());
    options.feed.settings.changed.listen(life, () => this.rearrange());
    atEnd(life, () => {
      cancelAnimationFrame(this.frame);
      for (const observer of [this.sight, this.page, this.sizes]) observer.disconnect();
      for (const card of this.cards.values()) card.release();
    });
    this.rearrange();
  }

  /** How many charts are shown, filtered ones and those in closed groups left out. */
  get size(): number {
    return this.shownCards().length;
  }

  get isZoomed(): boolean {
    return [...this.cards.values()].some((card) => card.zoom);
  }

  /** Draw everything again: the theme, the emphasis or a setting changed. */
  redraw(): void {
    for (const card of this.cards.values()) card.stale = true;
    this.schedule();
  }

  resetZoom(): void {
    for (const card of this.cards.values()) card.zoom = null;
    this.redraw();
    this.zoomChanged.emit();
  }

  /** Let one source's lines stand out; `null` shows all alike. */
  emphasise(source: string | null): void {
    if (source === this.emphasised) return;
    this.emphasised = source;
    this.redraw();
  }

  /** A source that is hidden has no lines to stand out: pointing at it leaves the others as they are. */
  private shownEmphasis(): string | null {
    const hidden = this.options.feed.settings.hiddenSources;
    return this.emphasised !== null && hidden.has(this.emphasised) ? null : this.emphasised;
  }

  private onPoints(series: readonly Series[]): void {
    for (const one of series) {
      const card = this.cards.get(this.options.chart(one));
      if (card) card.stale = true;
    }
    this.schedule();
  }

  private rearrange(): void {
    this.arranged = false;
    this.redraw();
  }

  private schedule(): void {
    if (this.life.aborted || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (!this.arranged) this.arrange();
      if (this.onPage) this.draw();
    });
  }

  private draw(): void {
    const drawn: [string, { step: number; value: number }][] = [];
    for (const card of this.cards.values()) {
      if (!card.stale || !card.inSight) continue;
      const newest = card.draw();
      if (newest) drawn.push([card.tag, newest]);
    }
    if (!drawn.length) return;
    // The next task runs when the frame has been handed over to be painted.
    setTimeout(() => {
      const at = performance.timeOrigin + performance.now();
      for (const [tag, { step, value }] of drawn) this.options.feed.noteDrawn(tag, step, value, at);
    });
  }

  /** Bring cards and groups in line with the series and the filter. */
  private arrange(): void {
    const { feed, accepts, matches } = this.options;
    this.arranged = true;
    for (const series of feed.seriesInOrder) {
      if (!accepts(series)) continue;
      this.cardFor(this.options.chart(series)).add(series);
    }
    for (const group of this.sortedGroups()) {
      group.cards.sort((a, b) => naturally.compare(a.tag, b.tag));
      const shown = new Set(group.cards.filter((card) => matches(card.tag)));
      const closed = feed.settings.closedGroups.has(group.name);
      setText(group.count, String(shown.size));
      group.head.setAttribute("aria-expanded", String(!closed));
      group.element.hidden = shown.size === 0;
      group.grid.hidden = closed;
      group.head.hidden = group.name === "";
      for (const card of group.cards) card.element.hidden = !shown.has(card);
      inOrder(
        group.grid,
        group.cards.map((card) => card.element),
      );
    }
    const largest = Math.max(...[...this.groups.values()].map(({ cards }) => cards.length));
    this.element.style.setProperty(
      "--rc-columns",
      String(Math.max(FEWEST_COLUMNS, Math.min(largest, MOST_COLUMNS))),
    );
    inOrder(
      this.element,
      this.sortedGroups().map(({ element }) => element),
    );
  }

  private cardFor(tag: string): Card {
    const known = this.cards.get(tag);
    if (known) return known;
    const [name, title] = this.options.place(tag);
    const group = this.groupFor(name);
    const card = new Card(
      tag,
      title,
      {
        ...this.options,
        emphasis: () => this.shownEmphasis(),
        request: (one) => {
          one.stale = true;
          this.schedule();
          this.zoomChanged.emit();
        },
      },
      this.life,
    );
    this.cards.set(tag, card);
    group.cards.push(card);
    this.cardOf.set(card.element, card);
    this.cardOf.set(card.bodyElement, card);
    this.sight.observe(card.element);
    this.sizes.observe(card.bodyElement);
    return card;
  }

  private groupFor(name: string): Group {
    const known = this.groups.get(name);
    if (known) return known;
    const count = h("span", { class: "rc-group-count" });
    const head = h(
      "button",
      { class: "rc-group-head", type: "button" },
      h("span", { class: "rc-caret", "aria-hidden": "true" }),
      h("span", { class: "rc-group-name" }, name),
      count,
    );
    const grid = h("div", { class: "rc-grid" });
    const group = {
      name,
      head,
      count,
      grid,
      cards: [],
      element: h("section", { class: "rc-group" }, head, grid),
    };
    listen(head, "click", this.life, () => this.options.feed.settings.toggleGroup(name));
    this.groups.set(name, group);
    return group;
  }

  private sortedGroups(): Group[] {
    return [...this.groups.values()].sort((a, b) => naturally.compare(a.name, b.name));
  }

  private shownCards(): Card[] {
    return [...this.cards.values()].filter((card) => this.options.matches(card.tag));
  }

  private onSight(entries: readonly IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const card = this.cardOf.get(target);
      if (!card) continue;
      card.inSight = isIntersecting;
      if (!isIntersecting) card.release();
    }
    this.schedule();
  }
}

/** A tag's group is what stands before its first slash. */
export function placeByPrefix(tag: string): readonly [group: string, title: string] {
  const slash = tag.indexOf("/");
  return slash > 0 && slash < tag.length - 1 ? [tag.slice(0, slash), tag.slice(slash + 1)] : ["", tag];
}

/** Make these the children of `parent`, moving only what is out of its place. */
function inOrder(parent: HTMLElement, children: readonly HTMLElement[]): void {
  children.forEach((child, k) => {
    if (parent.children[k] !== child) parent.insertBefore(child, parent.children[k] ?? null);
  });
}
