/** What stands where there is nothing, nothing yet, or nothing to be had. */

import { h } from "../dom.ts";
import { ApiError } from "./api.ts";
import { address } from "./base.ts";
import { button } from "./controls.ts";
import { type IconName, icon } from "./icons.ts";

export function emptyState(sign: IconName, headline: string, ...more: (Node | string)[]): HTMLElement {
  return h(
    "div",
    { class: "empty" },
    h("span", { class: "empty-sign" }, icon(sign)),
    h("h2", {}, headline),
    ...more.map((each) => (typeof each === "string" ? h("p", {}, each) : each)),
  );
}

/** Rows that stand where rows will be, so that nothing jumps when they come; quick answers never show them. */
export function loadingRows(count: number): HTMLElement {
  const rows = Array.from({ length: count }, () => h("div", { class: "loading-row" }));
  return h("div", { class: "loading", role: "status", "aria-label": "Loading" }, ...rows);
}

/** What to say when something could not be shown, and how to go on. */
export function failure(error: unknown, life: AbortSignal, again: () => void): HTMLElement {
  const status = error instanceof ApiError ? error.status : -1;
  const words = error instanceof Error ? error.message : String(error);
  if (status === 404) {
    return emptyState(
      "search",
      "This is not here",
      "It does not exist, was deleted, or is not shared with you.",
      h("p", {}, h("a", { href: address(), class: "button" }, "All projects")),
    );
  }
  const headline = status === 0 ? "The server cannot be reached" : "This could not be shown";
  const text = status === 0 ? "It may be restarting, or the network is gone." : words;
  return emptyState("warning", headline, text, h("p", {}, button("Try again", life, again)));
}
