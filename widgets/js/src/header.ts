import { atEnd, h, setText } from "./dom.ts";
import type { Feed } from "./feed.ts";
import { countOf, formatAgo, formatDuration } from "./format.ts";

/** The panel's first line: which run, how it is, and how far. */
export class Header {
  readonly element: HTMLElement;
  private readonly dot = h("i", { class: "rc-state-dot", "aria-hidden": "true" });
  private readonly name = h("strong", { class: "rc-name" });
  private readonly project = h("span", { class: "rc-project" });
  private readonly state = h("span", { class: "rc-state" });
  private readonly progress = h("span", { class: "rc-progress" });

  constructor(
    private readonly feed: Feed,
    life: AbortSignal,
  ) {
    this.element = h(
      "header",
      { class: "rc-header" },
      h("span", { class: "rc-title" }, this.dot, this.name, this.project),
      h("span", { class: "rc-facts-line" }, this.state, this.progress),
    );
    if (feed.live) {
      const clock = setInterval(() => this.refresh(), 1000);
      atEnd(life, () => clearInterval(clock));
    }
    feed.factsChanged.listen(life, () => this.refresh());
    this.refresh();
  }

  private refresh(): void {
    const { run, state, standing, silent, points, updated, live } = this.feed;
    const { name, id, project, created, ended } = run;
    this.dot.dataset.state = standing === state ? state : "unknown"; // no colour claims what no word does
    setText(this.name, name || id || "run");
    setText(this.project, project ?? "");
    this.dot.classList.toggle("rc-live", live && !silent);
    setText(this.state, standing);
    const parts = [countOf(points, "point")];
    if (state === "running") {
      if (live && updated !== null && points) parts.push(formatAgo(updated, Date.now() / 1000));
    } else if (typeof created === "number" && typeof ended === "number") {
      parts.push(`ran ${formatDuration(ended - created)}`);
    } else if (updated !== null && points) parts.push(`the last ${formatAgo(updated, Date.now() / 1000)}`);
    setText(this.progress, parts.join(" · "));
  }
}
