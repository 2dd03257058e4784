/** The script inside a saved notebook: `runcastStatic.mount(element, form)` shows a panel that needs no kernel. */

import type { StaticForm } from "./frame.ts";
import css from "./panel.css";
import { DEFAULT_HEIGHT, showPanel } from "./panel.ts";
import { holdFeed } from "./registry.ts";

interface Mounted {
  readonly uid: string;
  readonly life: AbortController;
}

declare global {
  var runcastStatic: { readonly mount: typeof mount };
  /** The mounted forms; global because each form brings this script along. */
  var __runcastForms: Map<Element, Mounted> | undefined;
}

/** Show the form in `element` until the returned function is called, or until a newer form of the run replaces it. */
function mount(element: HTMLElement, form: StaticForm): () => void {
  const uid = form.uid ?? "";
  const life = new AbortController();
  endReplaced(uid, element);
  globalThis.__runcastForms?.set(element, { uid, life });
  // The living widget of the same run may stand in the same page, with points of its own.
  const feed = holdFeed(`static:${uid}`, life.signal);
  feed.load(form);
  element.replaceChildren();
  showPanel(element, feed, { height: DEFAULT_HEIGHT, tensorboard: false, css }, life.signal);
  return () => {
    life.abort();
    globalThis.__runcastForms?.delete(element);
  };
}

/**
 * End the earlier forms of this run that have left the page: nobody tells them when a notebook renews its output.
 *
 * To have left the page is not enough: a notebook also takes out what is scrolled far away, and puts it back.
 */
function endReplaced(uid: string, by: HTMLElement): void {
  globalThis.__runcastForms ??= new Map();
  for (const [element, mounted] of globalThis.__runcastForms) {
    if (mounted.uid !== uid || (element.isConnected && element !== by)) continue;
    mounted.life.abort();
    globalThis.__runcastForms.delete(element);
  }
}

globalThis.runcastStatic = { mount };
