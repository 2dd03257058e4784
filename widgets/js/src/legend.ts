import { h, listen } from "./dom.ts";
import type { Palette } from "./palette.ts";
import type { Settings } from "./settings.ts";
import { type Source, sourceId, sourceLabels } from "./source.ts";

export interface LegendOptions {
  readonly settings: Settings;
  readonly palette: Palette;
  /** The reader points at this source, or at none any more. */
  readonly onEmphasis: (id: string | null) => void;
}

/** The sources, once for all charts: click hides or shows one, a double click shows it alone, pointing lets it stand out. */
export class Legend {
  readonly element = h("div", { class: "rc-legend", role: "group", "aria-label": "Sources" });
  private chips: { readonly element: HTMLButtonElement; readonly source: Source }[] = [];

  constructor(
    private readonly options: LegendOptions,
    private readonly life: AbortSignal,
  ) {
    options.settings.changed.listen(life, () => this.refresh());
  }

  /** Show these sources; does nothing if they are shown already. */
  show(sources: readonly Source[]): void {
    const ids = sources.map(sourceId).join();
    if (ids === this.chips.map(({ source }) => sourceId(source)).join()) return;
    const labels = sourceLabels(sources);
    const all = sources.map(sourceId);
    this.chips = sources.map((source) => ({
      source,
      element: this.chip(source, labels.get(sourceId(source)) ?? "", all),
    }));
    this.element.replaceChildren(...this.chips.map(({ element }) => element));
    this.refresh();
  }

  /** Take the colours of the theme and show which sources are hidden. */
  refresh(): void {
    for (const { element, source } of this.chips) {
      element.style.setProperty("--rc-line", this.options.palette.line(source));
      element.setAttribute(
        "aria-pressed",
        String(!this.options.settings.hiddenSources.has(sourceId(source))),
      );
    }
    this.element.hidden = this.chips.length === 0;
  }

  private chip(source: Source, label: string, all: readonly string[]): HTMLButtonElement {
    const { settings, onEmphasis } = this.options;
    const id = sourceId(source);
    const place = `${source.root}/${source.source}`;
    const chip = h(
      "button",
      { class: "rc-chip", type: "button", title: `${place}\nclick: hide or show, double click: show alone` },
      h("i", { class: "rc-swatch" }),
      h("span", {}, label),
    );
    listen(chip, "click", this.life, (event) => {
      if (event.detail < 2) settings.toggleSource(id);
    });
    listen(chip, "dblclick", this.life, () => {
      settings.toggleSource(id);
      settings.soloSource(id, all);
    });
    for (const type of ["pointerenter", "focus"] as const)
      listen(chip, type, this.life, () => onEmphasis(id));
    for (const type of ["pointerleave", "blur"] as const)
      listen(chip, type, this.life, () => onEmphasis(null));
    return chip;
  }
}
