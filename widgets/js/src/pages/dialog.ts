import { atEnd, h, listen } from "../dom.ts";
import { button, type Tone } from "./controls.ts";

export interface Dialog {
  /** Where its content goes. */
  readonly body: HTMLElement;
  /** Ends with the dialog. */
  readonly life: AbortSignal;
  close(): void;
}

/** Open a dialog over the page until it is closed or `life` ends; the browser keeps the keyboard inside and gives the focus back. */
export function openDialog(title: string, life: AbortSignal): Dialog {
  const own = new AbortController();
  const body = h("div", { class: "dialog-body" });
  const element = h("dialog", { class: "dialog", "aria-label": title });
  const close = () => element.close();
  const x = button("Close", own.signal, close, { icon: "close", bare: true, tone: "quiet" });
  element.append(h("header", { class: "dialog-head" }, h("h2", {}, title), x), body);
  listen(element, "close", own.signal, () => {
    own.abort();
    element.remove();
  });
  // A press that begins and ends beside the dialog closes it; one that selects text and slips out does not.
  let beside = false;
  listen(element, "pointerdown", own.signal, (event) => {
    beside = event.target === element;
  });
  listen(element, "click", own.signal, (event) => {
    if (beside && event.target === element) close();
  });
  document.body.append(element);
  element.showModal();
  atEnd(life, () => {
    if (element.open) close();
  });
  return { body, life: own.signal, close };
}

/** Ask before something that cannot be taken back. */
export function confirm(
  title: string,
  text: string,
  words: string,
  life: AbortSignal,
  tone: Tone = "danger",
): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = openDialog(title, life);
    const yes = button(
      words,
      dialog.life,
      () => {
        resolve(true);
        dialog.close();
      },
      { tone },
    );
    const no = button("Cancel", dialog.life, dialog.close);
    dialog.body.append(h("p", { class: "dialog-text" }, text), h("div", { class: "actions" }, no, yes));
    atEnd(dialog.life, () => resolve(false));
    no.focus();
  });
}
