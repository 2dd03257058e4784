import { h, listen } from "../dom.ts";
import type { Feed } from "../feed.ts";
import { formatBytes } from "../format.ts";
import type { Page } from "../tabs.ts";
import type { Api, StoredFile } from "./api.ts";

/** Milliseconds between two readings of the list, at least. */
const CALM = 5000;
/** How long a browser may take to begin to save what it was given. */
const KEEP = 60_000;

/** The Files tab: every file that the run keeps, to be downloaded. */
export class FilesPage implements Page {
  readonly title = "Files";
  readonly element: HTMLElement;
  private readonly place = h("div", { class: "rc-run" });
  private shown = "";
  private readAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly api: Api,
    private readonly run: string,
    feed: Feed,
    private readonly life: AbortSignal,
  ) {
    this.element = h("div", { class: "rc-page" }, h("div", { class: "rc-scroller" }, this.place));
    feed.factsChanged.listen(life, () => {
      if (!this.element.hidden) void this.refresh();
    });
  }

  onOpen(): void {
    void this.refresh();
  }

  private async refresh(): Promise<void> {
    if (performance.now() - this.readAt < CALM) return;
    this.readAt = performance.now();
    try {
      const files = await this.api.files(this.run);
      if (this.life.aborted || JSON.stringify(files) === this.shown) return;
      this.shown = JSON.stringify(files);
      this.place.replaceChildren(files.length ? this.table(files) : nothing());
    } catch (error) {
      if (!this.shown) {
        const why = error instanceof Error ? error.message : String(error);
        this.place.replaceChildren(
          h(
            "div",
            { class: "rc-empty" },
            h("strong", {}, "The files could not be listed"),
            h("span", {}, why),
          ),
        );
      }
    }
  }

  private table(files: readonly StoredFile[]): HTMLElement {
    const head = h("tr", {}, h("th", {}, "File"), h("th", { class: "rc-number" }, "Size"));
    const rows = files.map(({ path, size }) =>
      h(
        "tr",
        {},
        h("td", { class: "rc-path" }, this.link(path)),
        h("td", { class: "rc-number" }, formatBytes(size)),
      ),
    );
    const table = h("table", { class: "rc-table" }, h("thead", {}, head), h("tbody", {}, ...rows));
    return h("div", { class: "rc-wide" }, table);
  }

  private link(path: string): HTMLElement {
    const name = path.split("/").at(-1) ?? path;
    const href = this.api.fileAddress(this.run, path);
    const made = h("a", { href, class: "rc-link", download: name }, path);
    // A link is followed without the header that opens a shared run: the page fetches the file, and hands it over.
    if (this.api.share !== null) {
      listen(made, "click", this.life, (event) => {
        event.preventDefault();
        void this.save(path, name);
      });
    }
    return made;
  }

  private async save(path: string, name: string): Promise<void> {
    const href = URL.createObjectURL(await this.api.blob(this.run, path));
    h("a", { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), KEEP);
  }
}

function nothing(): HTMLElement {
  return h("div", { class: "rc-empty" }, h("strong", {}, "No files yet"));
}
