import { h, listen, setText } from "./dom.ts";
import { type Settings, tagFilter, type XAxis, type YScale } from "./settings.ts";

/** TensorBoard's slider ends here too: at 1 nothing would move. */
const MOST_SMOOTHING = 0.99;

/** The controls of the Charts tab. */
export class Toolbar {
  readonly element: HTMLElement;
  private readonly reset = h("button", { class: "rc-button", type: "button", disabled: true }, "Reset zoom");

  constructor(settings: Settings, onResetZoom: () => void, life: AbortSignal) {
    const { current } = settings;
    const slider = h("input", { type: "range", min: 0, max: MOST_SMOOTHING, step: 0.01, class: "rc-slider" });
    slider.setAttribute("aria-label", "Smoothing");
    slider.valueAsNumber = current.smoothing;
    const amount = h("output", { class: "rc-amount" });
    const filter = h("input", {
      type: "search",
      class: "rc-filter",
      placeholder: "Filter tags (regex)",
      spellcheck: "false",
    });
    filter.setAttribute("aria-label", "Filter tags by a regular expression");
    filter.value = current.filter;
    const problem = h("span", { class: "rc-problem", role: "status" });
    const x = choice<XAxis>(
      "x axis",
      { step: "Step", relative: "Relative", wall: "Wall" },
      current.x,
      life,
      (value) => settings.set({ x: value }),
    );
    const y = choice<YScale>("y scale", { linear: "Linear", log: "Log" }, current.y, life, (value) =>
      settings.set({ y: value }),
    );
    const refresh = () => {
      const { smoothing, filter: pattern } = settings.current;
      setText(amount, smoothing.toFixed(2));
      slider.style.setProperty("--rc-share", `${(100 * smoothing) / MOST_SMOOTHING}%`);
      setText(problem, tagFilter(pattern).problem ?? "");
      filter.setAttribute("aria-invalid", String(Boolean(problem.textContent)));
      if (slider.valueAsNumber !== smoothing) slider.valueAsNumber = smoothing;
      if (filter.value !== pattern) filter.value = pattern;
      x.show(settings.current.x);
      y.show(settings.current.y);
    };
    listen(slider, "input", life, () => settings.set({ smoothing: slider.valueAsNumber }));
    listen(slider, "dblclick", life, () => settings.set({ smoothing: 0.6 }));
    listen(filter, "input", life, () => settings.set({ filter: filter.value }));
    listen(this.reset, "click", life, onResetZoom);
    settings.changed.listen(life, refresh);
    refresh();
    this.element = h(
      "div",
      { class: "rc-toolbar" },
      h("label", { class: "rc-field" }, h("span", { class: "rc-caption" }, "Smoothing"), slider, amount),
      x.element,
      y.element,
      h("span", { class: "rc-filter-field" }, filter, problem),
      this.reset,
    );
  }

  /** Whether there is a zoom to reset. */
  set canReset(can: boolean) {
    this.reset.disabled = !can;
  }
}

/** Buttons of which one is chosen. */
function choice<T extends string>(
  name: string,
  labels: Record<T, string>,
  chosen: T,
  life: AbortSignal,
  choose: (value: T) => void,
): { readonly element: HTMLElement; readonly show: (value: T) => void } {
  const buttons = (Object.entries(labels) as [T, string][]).map(([value, label]) => {
    const button = h("button", { class: "rc-segment", type: "button" }, label);
    listen(button, "click", life, () => choose(value));
    return { value, button };
  });
  const show = (value: T) => {
    for (const { value: own, button } of buttons) button.setAttribute("aria-pressed", String(own === value));
  };
  show(chosen);
  const group = { class: "rc-segments", role: "group", "aria-label": name };
  return { element: h("div", group, ...buttons.map(({ button }) => button)), show };
}
