import { atEnd, listen } from "./dom.ts";

export type Theme = "light" | "dark";

/** The page's theme, as JupyterLab, VS Code and Colab say it, else as the reader's system has it. */
export function pageTheme(page: Document, prefersDark: boolean): Theme {
  const { body, documentElement: root } = page;
  const jupyter = body.dataset.jpThemeLight;
  if (jupyter !== undefined) return jupyter === "false" ? "dark" : "light";
  const code = body.dataset.vscodeThemeKind ?? body.className;
  if (/vscode-(dark|high-contrast(?!-light))/.test(code)) return "dark";
  if (/vscode-(light|high-contrast-light)/.test(code)) return "light";
  const colab = root.getAttribute("theme");
  if (colab === "dark" || colab === "light") return colab;
  return prefersDark ? "dark" : "light";
}

/** Tell `show` the theme now and whenever it, or the variables that it sets, may have changed. */
export function followTheme(life: AbortSignal, show: (theme: Theme) => void): void {
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  let late: ReturnType<typeof setTimeout> | undefined;
  const look = () => show(pageTheme(document, prefersDark.matches));
  const changed = () => {
    look();
    // JupyterLab swaps the style sheet of a theme around the attribute that names it, not with it.
    clearTimeout(late);
    late = setTimeout(look, 300);
  };
  const observer = new MutationObserver(changed);
  const attributes = [
    "class",
    "data-jp-theme-light",
    "data-jp-theme-name",
    "data-vscode-theme-kind",
    "theme",
  ];
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributes: true, attributeFilter: attributes });
  }
  listen(prefersDark, "change" as keyof HTMLElementEventMap, life, changed);
  atEnd(life, () => {
    observer.disconnect();
    clearTimeout(late);
  });
  look();
}
