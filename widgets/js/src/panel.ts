import { ChartsPage } from "./charts_page.ts";
import { atEnd, h, listen } from "./dom.ts";
import type { Feed } from "./feed.ts";
import { Header } from "./header.ts";
import { Palette } from "./palette.ts";
import { RunPage } from "./run_page.ts";
import { SystemPage } from "./system_page.ts";
import { type Page, Tabs } from "./tabs.ts";
import { TensorBoardPage } from "./tensorboard_page.ts";
import { followTheme } from "./theme.ts";
import { Tooltip } from "./tooltip.ts";

export interface PanelOptions {
  /** The panel is never higher than this, in pixels; what is longer scrolls inside. `null`: it is as high as its place. */
  readonly height: number | null;
  readonly tensorboard: boolean;
  /** The style sheet to bring along; `null` where the page has it. */
  readonly css: string | null;
  /** Tabs behind the panel's own. */
  readonly more?: readonly Page[];
}

export const DEFAULT_HEIGHT = 560;

/** Show a feed in `container` until `life` ends. */
export function showPanel(
  container: HTMLElement,
  feed: Feed,
  options: PanelOptions,
  life: AbortSignal,
): void {
  const panel = h("div", { class: "runcast" });
  if (options.height === null) panel.classList.add("rc-filling");
  else panel.style.setProperty("--rc-height", `${options.height}px`);
  const palette = new Palette();
  const tooltip = new Tooltip(panel);
  const where = options.tensorboard ? "open the TensorBoard tab" : "TensorBoard shows them";
  const charts = new ChartsPage(feed, palette, tooltip, where, life);
  const systemPalette = new Palette();
  const system = new SystemPage(feed, systemPalette, tooltip, life);
  const pages = [
    charts,
    system,
    ...(options.tensorboard ? [new TensorBoardPage(feed, life)] : []),
    new RunPage(feed, life),
    ...(options.more ?? []),
  ];
  const tabs = new Tabs(pages, life);
  const warnings = h("div", { class: "rc-warnings" });
  panel.append(
    ...(options.css === null ? [] : [h("style", {}, options.css)]),
    h("div", { class: "rc-top" }, new Header(feed, life).element, tabs.bar),
    warnings,
    tabs.body,
    tooltip.element,
  );
  container.append(panel);
  showWarnings(warnings, feed, life);
  followTheme(life, (theme) => {
    panel.dataset.theme = theme;
    palette.adopt(theme, panel);
    systemPalette.adopt(theme, panel);
    charts.recolour();
    system.board.redraw();
  });
  atEnd(life, () => panel.remove());
}

function showWarnings(place: HTMLElement, feed: Feed, life: AbortSignal): void {
  const dismissed = new Set<string>();
  const refresh = () => {
    const texts = feed.warnings.filter((text) => !dismissed.has(text));
    if (texts.length === place.children.length) return;
    place.replaceChildren(
      ...texts.map((text) => {
        const close = h("button", { class: "rc-icon", type: "button", "aria-label": "Dismiss" }, "×");
        listen(close, "click", life, () => {
          dismissed.add(text);
          refresh();
        });
        return h("div", { class: "rc-warning", role: "status" }, h("span", {}, text), close);
      }),
    );
  };
  feed.factsChanged.listen(life, refresh);
  refresh();
}
