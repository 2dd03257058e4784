import { h } from "../dom.ts";
import type { Feed } from "../feed.ts";
import { formatClock } from "../format.ts";
import type { Page } from "../tabs.ts";
import type { Api } from "./api.ts";
import { ConsoleLines } from "./console_lines.ts";

const PATH = "console.jsonl";
/** Bytes of a long console that are read: its end. */
const MOST = 1 << 20;
/** Lines that stand on the page. */
const MOST_LINES = 5000;
/** Pixels from the end within which the reader is taken to follow it. */
const NEAR = 40;

/** The Console tab: what the run printed, and prints. */
export class ConsolePage implements Page {
  readonly title = "Console";
  readonly element: HTMLElement;
  private readonly scroller = h("div", {
    class: "rc-scroller console",
    tabindex: 0,
    "aria-label": "Console",
  });
  private readonly list = h("div", { class: "console-lines" });
  private readonly empty = h("div", { class: "rc-empty" });
  private readonly lines = new ConsoleLines();
  private shown: HTMLElement[] = [];
  /** How far the file has been read; null before it was. */
  private read: number | null = null;
  private busy = false;

  constructor(
    private readonly api: Api,
    private readonly run: string,
    private readonly feed: Feed,
    private readonly life: AbortSignal,
  ) {
    this.scroller.append(this.empty, this.list);
    this.element = h("div", { class: "rc-page" }, this.scroller);
    feed.factsChanged.listen(life, () => {
      if (!this.element.hidden) void this.refresh();
    });
  }

  onOpen(): void {
    void this.refresh();
  }

  private async refresh(): Promise<void> {
    const size = this.feed.files.find(({ path }) => path === PATH)?.recorded ?? 0;
    this.sayEmpty(size);
    if (this.busy || size <= (this.read ?? 0)) return;
    this.busy = true;
    try {
      const start = this.read ?? Math.max(0, size - MOST);
      const bytes = await this.api.bytes(this.run, PATH, start, Math.min(size, start + MOST));
      if (this.life.aborted) return;
      this.read = start + bytes.length;
      this.draw(this.lines.push(bytes));
      this.empty.hidden = true;
    } catch (error) {
      console.warn("runcast: the console could not be read,", error);
    } finally {
      this.busy = false;
    }
  }

  private draw(first: number): void {
    const { scroller } = this;
    const follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
    this.lines.lines.slice(first).forEach(({ stream, text, time }, k) => {
      const title = time === null ? "" : formatClock(time);
      const line = h("div", { class: "console-line", "data-stream": stream, title }, text || " ");
      const old = this.shown[first + k];
      if (old) old.replaceWith(line);
      else this.list.append(line);
      this.shown[first + k] = line;
    });
    while (this.list.children.length > MOST_LINES) this.list.firstElementChild?.remove();
    if (follows) scroller.scrollTop = scroller.scrollHeight;
  }

  private sayEmpty(size: number): void {
    if (this.read !== null) return;
    const [headline, text] = size
      ? ["Reading…", ""]
      : ["Nothing was printed", "What the training prints stands here, unless that was switched off."];
    if (this.empty.dataset.shown === headline) return;
    this.empty.dataset.shown = headline;
    this.empty.replaceChildren(h("strong", {}, headline), h("span", {}, text));
  }
}
