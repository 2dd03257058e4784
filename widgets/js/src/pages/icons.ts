/** The few signs of the pages, drawn as strokes on a grid of 16, in the colour of the text beside them. */

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  add: "M8 3v10M3 8h10",
  back: "M9.5 3.5 5 8l4.5 4.5",
  check: "m3.5 8.5 3 3 6-7",
  close: "m4 4 8 8M12 4l-8 8",
  columns: "M2.5 3.5h11v9h-11zM6.2 3.5v9M9.8 3.5v9",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  dark: "M13 9.6A5.6 5.6 0 0 1 6.4 3 5.6 5.6 0 1 0 13 9.6z",
  down: "m4 6 4 4 4-4",
  download: "M8 2.5v8M4.8 7.5 8 10.7l3.2-3.2M3 13.5h10",
  edit: "M9.8 3.6 12.4 6.2M3 13l.7-3.2 7.4-7.4a1 1 0 0 1 1.4 0l1.1 1.1a1 1 0 0 1 0 1.4L6.2 12.3z",
  empty: "M2.5 9.5h3l1 2h3l1-2h3M2.5 9.5v3h11v-3l-2-6h-7z",
  light:
    "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM8 1.5v1.4M8 13.1v1.4M1.5 8h1.4M13.1 8h1.4M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1",
  link: "M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2.3-2.3a2.6 2.6 0 0 0-3.7-3.7l-1 1M9.2 6.8a2.6 2.6 0 0 0-3.7 0L3.2 9.1a2.6 2.6 0 0 0 3.7 3.7l1-1",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  search: "M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4zM10.2 10.2l3.3 3.3",
  system: "M2.5 3.5h11v7.5h-11zM6 13.5h4M8 11v2.5",
  trash: "M2.8 4.5h10.4M6.2 4.5v-2h3.6v2M4.2 4.5l.6 9h6.4l.6-9M6.8 7v4M9.2 7v4",
  user: "M8 2.6a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4zM2.8 13.8c.5-2.6 2.5-4 5.2-4s4.7 1.4 5.2 4",
  warning: "M8 2.2 14.2 13H1.8zM8 6.4v3M8 11.2h.01",
} as const;

export type IconName = keyof typeof PATHS;

/** A sign that says nothing by itself: a word beside it, or its button's label, does. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = {
    viewBox: "0 0 16 16",
    class: `icon icon-${name}`,
    "aria-hidden": "true",
    focusable: "false",
  };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** The mark of runcast: a curve that is being cast. */
export function brandMark(): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "brand-mark");
  svg.setAttribute("aria-hidden", "true");
  const curve = document.createElementNS(SVG, "path");
  curve.setAttribute("d", "M3.5 4.5c1.3 8.4 4.2 12.2 9.2 13 1.9.3 3.6.3 5.3.2");
  const dot = document.createElementNS(SVG, "circle");
  for (const [key, value] of Object.entries({ cx: "19.2", cy: "17.6", r: "2.5" }))
    dot.setAttribute(key, value);
  svg.append(curve, dot);
  return svg;
}
