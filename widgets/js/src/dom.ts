/** The few words with which the panel makes its elements. Text is only ever inserted as text. */

type Attribute = string | number | boolean | null | undefined;

/** Make an element: `true` sets an attribute, `false`, `null` and `undefined` leave it out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, Attribute> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, value === true ? "" : String(value));
    }
  }
  element.append(...children);
  return element;
}

/** Set the text of an element, touching the page only if it changed. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A listener that lasts until `life` is aborted. */
export function listen<K extends keyof HTMLElementEventMap>(
  target: EventTarget,
  type: K,
  life: AbortSignal,
  handle: (event: HTMLElementEventMap[K]) => void,
): void {
  target.addEventListener(type, handle as EventListener, { signal: life });
}

/** Run `end` when `life` is aborted, or now if it was. */
export function atEnd(life: AbortSignal, end: () => void): void {
  if (life.aborted) end();
  else life.addEventListener("abort", end, { once: true });
}
