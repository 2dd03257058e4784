/** Light, dark, or as the reader's system has it; kept in the browser, and said in `<html theme>`, which the panel follows too. */

export type Appearance = "system" | "light" | "dark";

const KEY = "runcast-appearance";
const ORDER: readonly Appearance[] = ["system", "light", "dark"];

export function appearance(): Appearance {
  const kept = read();
  return ORDER.find((each) => each === kept) ?? "system";
}

export function setAppearance(chosen: Appearance): void {
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // A browser that keeps nothing shows it until the page is left.
  }
  apply(chosen);
}

/** What a press on the button chooses. */
export function nextAppearance(current: Appearance): Appearance {
  return ORDER[(ORDER.indexOf(current) + 1) % ORDER.length];
}

export function apply(chosen: Appearance): void {
  const root = document.documentElement;
  if (chosen === "system") root.removeAttribute("theme");
  else root.setAttribute("theme", chosen);
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
