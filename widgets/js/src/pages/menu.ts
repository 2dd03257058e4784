import { h, listen } from "../dom.ts";
import { type IconName, icon } from "./icons.ts";

export interface MenuItem {
  readonly words: string;
  readonly icon?: IconName;
  /** Where it leads, … */
  readonly href?: string;
  /** … or what it does. */
  readonly take?: () => void;
  readonly danger?: boolean;
}

/** Let a button open a menu: arrow keys walk through it, Escape and a press elsewhere close it. */
export function menuButton(
  opener: HTMLButtonElement,
  items: readonly MenuItem[],
  life: AbortSignal,
): HTMLElement {
  const list = h("div", { class: "menu", role: "menu", hidden: true });
  const place = h("div", { class: "menu-place" }, opener, list);
  const show = (open: boolean, focus = false) => {
    list.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open && focus) (list.firstElementChild as HTMLElement | null)?.focus();
  };
  for (const item of items) {
    const attributes = { class: `menu-item${item.danger ? " danger" : ""}`, role: "menuitem", tabindex: -1 };
    const made =
      item.href === undefined
        ? h("button", { type: "button", ...attributes })
        : h("a", { href: item.href, ...attributes });
    if (item.icon) made.append(icon(item.icon));
    made.append(item.words);
    listen(made, "click", life, () => {
      show(false);
      item.take?.();
    });
    list.append(made);
  }
  opener.setAttribute("aria-haspopup", "menu");
  show(false);
  listen(opener, "click", life, (event) => show(list.hidden !== false, event.detail === 0));
  listen(place, "keydown", life, (event) => {
    const entries = [...list.children] as HTMLElement[];
    const at = entries.indexOf(document.activeElement as HTMLElement);
    const next = {
      ArrowDown: list.hidden ? 0 : (at + 1) % entries.length,
      ArrowUp: (at + entries.length - 1) % entries.length,
      Home: 0,
      End: entries.length - 1,
    }[event.key];
    if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      show(false);
      opener.focus();
    } else if (next !== undefined) {
      event.preventDefault();
      show(true);
      entries[next]?.focus();
    }
  });
  listen(document, "pointerdown" as keyof HTMLElementEventMap, life, (event) => {
    if (!list.hidden && !place.contains(event.target as Node)) show(false);
  });
  listen(place, "focusout", life, (event) => {
    if (event.relatedTarget instanceof Node && !place.contains(event.relatedTarget)) show(false);
  });
  return place;
}
