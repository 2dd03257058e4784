/** Buttons, fields and the like, as all pages have them. */

import { h, listen } from "../dom.ts";
import { type IconName, icon } from "./icons.ts";

export type Tone = "plain" | "primary" | "quiet" | "danger";

export interface ButtonOptions {
  readonly tone?: Tone;
  readonly icon?: IconName;
  /** A button that shows its sign only; its words are for who cannot see it, and for the pointer that rests on it. */
  readonly bare?: boolean;
  readonly submit?: boolean;
}

export function button(
  words: string,
  life: AbortSignal,
  press: (event: MouseEvent) => void,
  { tone = "plain", icon: sign, bare = false, submit = false }: ButtonOptions = {},
): HTMLButtonElement {
  const made = h("button", {
    type: submit ? "submit" : "button",
    class: `button ${tone}${bare ? " bare" : ""}`,
    title: bare && words,
    "aria-label": bare && words,
  });
  if (sign) made.append(icon(sign));
  if (!bare) made.append(words);
  listen(made, "click", life, press);
  return made;
}

export interface Field {
  readonly element: HTMLElement;
  readonly input: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
  /** Say what is wrong with it, or nothing. */
  problem(text: string): void;
}

let numbered = 0;

/** A labelled control with a hint below it, and room for what is wrong. */
export function field<T extends Field["input"]>(
  label: string,
  input: T,
  hint = "",
): Field & { readonly input: T } {
  const id = `field-${++numbered}`;
  input.id = id;
  const below = h("p", { class: "hint", id: `${id}-hint` }, hint);
  const wrong = h("p", { class: "problem", id: `${id}-problem`, role: "alert" });
  input.setAttribute("aria-describedby", `${below.id} ${wrong.id}`);
  below.hidden = !hint;
  return {
    element: h("div", { class: "field" }, h("label", { for: id }, label), input, below, wrong),
    input,
    problem: (text) => {
      wrong.textContent = text;
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    },
  };
}

export function choice(options: Readonly<Record<string, string>>, chosen = ""): HTMLSelectElement {
  const select = h("select", { class: "input" });
  for (const [value, words] of Object.entries(options)) {
    select.append(h("option", { value, selected: value === chosen }, words));
  }
  return select;
}

export function textInput(attributes: Record<string, string | boolean> = {}): HTMLInputElement {
  return h("input", { class: "input", type: "text", spellcheck: "false", ...attributes });
}

/** A text to take along, with a button that copies it. */
export function copyable(text: string, life: AbortSignal, label = "Copy"): HTMLElement {
  const shown = h("code", { class: "copy-text", tabindex: 0 }, text);
  const copy = button(
    label,
    life,
    () => {
      copy.style.minWidth = `${copy.offsetWidth}px`; // a shorter word moves nothing
      const done = (words: string) => {
        copy.lastChild!.textContent = words;
        setTimeout(() => {
          copy.lastChild!.textContent = label;
        }, 1600);
      };
      select(shown);
      // Without TLS a browser lets no page write to the clipboard: the text is selected, for the reader to copy.
      if (navigator.clipboard)
        navigator.clipboard.writeText(text).then(
          () => done("Copied"),
          () => done("Press Ctrl+C"),
        );
      else done(document.execCommand("copy") ? "Copied" : "Press Ctrl+C");
    },
    { icon: "copy" },
  );
  copy.classList.add("copy-button");
  copy.setAttribute("aria-live", "polite");
  return h("div", { class: "copyable" }, shown, copy);
}

function select(element: Element): void {
  const selection = getSelection();
  selection?.removeAllRanges();
  const range = document.createRange();
  range.selectNodeContents(element);
  selection?.addRange(range);
}

/** Run a form's work: one at a time, its button says that it goes on, and what is refused stands below the fields. */
export function onSubmit(
  form: HTMLFormElement,
  submit: HTMLButtonElement,
  life: AbortSignal,
  work: () => Promise<void>,
): void {
  const wrong = h("p", { class: "problem form-problem", role: "alert" });
  submit.before(wrong);
  listen(form, "submit", life, async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    submit.disabled = true;
    submit.classList.add("busy");
    wrong.textContent = "";
    try {
      await work();
    } catch (error) {
      wrong.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      submit.disabled = false;
      submit.classList.remove("busy");
    }
  });
}
