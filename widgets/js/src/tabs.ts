import { h, listen } from "./dom.ts";

export interface Page {
  readonly title: string;
  readonly element: HTMLElement;
  /** Called each time the page comes into view. */
  readonly onOpen?: () => void;
}

let made = 0;

/** Tabs as the ARIA practices describe them: arrow keys move and open, Home and End go to the ends. */
export class Tabs {
  readonly bar = h("div", { class: "rc-tabs", role: "tablist" });
  readonly body = h("div", { class: "rc-pages" });
  private readonly buttons: HTMLButtonElement[];
  private open = -1;

  constructor(
    private readonly pages: readonly Page[],
    life: AbortSignal,
  ) {
    const prefix = `rc-tab-${++made}`;
    this.buttons = pages.map(({ title, element }, k) => {
      const tab = h("button", { class: "rc-tab", type: "button", role: "tab", id: `${prefix}-${k}` }, title);
      tab.setAttribute("aria-controls", `${prefix}-${k}-page`);
      element.id = `${prefix}-${k}-page`;
      element.setAttribute("role", "tabpanel");
      element.setAttribute("aria-labelledby", tab.id);
      listen(tab, "click", life, () => this.show(k));
      return tab;
    });
    this.bar.append(...this.buttons);
    this.body.append(...pages.map(({ element }) => element));
    listen(this.bar, "keydown", life, (event) => this.onKey(event));
    this.show(0);
  }

  show(index: number): void {
    if (index === this.open) return;
    this.open = index;
    this.buttons.forEach((tab, k) => {
      tab.setAttribute("aria-selected", String(k === index));
      tab.tabIndex = k === index ? 0 : -1;
      this.pages[k].element.hidden = k !== index;
    });
    this.pages[index].onOpen?.();
  }

  private onKey(event: KeyboardEvent): void {
    const count = this.buttons.length;
    const next = {
      ArrowRight: (this.open + 1) % count,
      ArrowLeft: (this.open + count - 1) % count,
      Home: 0,
      End: count - 1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.show(next);
    this.buttons[next].focus();
  }
}
