/** What the tags of system metrics say, in words; `runcast/recorder/system.py` makes them. */

/** Units that the recorder writes at the end of its tags. */
const UNITS: readonly (readonly [RegExp, string])[] = [
  [/(^|[_/])percent$/, " %"],
  [/_gb_s$/, " GB/s"],
  [/_mb_s$/, " MB/s"],
  [/_gb$/, " GB"],
  [/_mb$/, " MB"],
  [/_(c|celsius)$/, " °C"],
  [/_(w|watts?)$/, " W"],
  [/_mhz$/, " MHz"],
];

export function unitOf(tag: string): string {
  return UNITS.find(([pattern]) => pattern.test(tag))?.[1] ?? "";
}

/** Tags that differ in a number only: each core's, each GPU's. They share a chart. */
const NUMBERED: readonly (readonly [RegExp, string, string])[] = [
  [/^cpu\/core(\d+)_percent$/, "cpu/cores_percent", "core"],
  [/^gpu(\d+)(?=\/)/, "gpu", "GPU"],
];

/** The chart that a tag's line is in: `cpu/core03_percent` is in `cpu/cores_percent`, `gpu1/power_w` in `gpu/power_w`. */
export function systemChart(tag: string): string {
  return NUMBERED.reduce((text, [pattern, chart]) => text.replace(pattern, chart), tag);
}

/** What tells a tag's line from the others in its chart: `core 3`, `GPU 1`; the tag itself where there are no others. */
export function systemLabel(tag: string): string {
  const noun = NUMBERED.find(([pattern]) => pattern.test(tag))?.[2];
  return noun ? `${noun} ${systemNumber(tag)}` : tag;
}

/** The number of the core or the GPU that a tag is about; 0 where it is about neither. */
export function systemNumber(tag: string): number {
  const found = NUMBERED.map(([pattern]) => pattern.exec(tag)).find((match) => match);
  return Number(found?.[1] ?? 0);
}

const NAMES: readonly (readonly [RegExp, string])[] = [
  [/\bcpu\b/g, "CPU"],
  [/\bgpu(\d*)\b/g, "GPU $1"],
  [/\brss\b/g, "RSS"],
];

/** A tag in words, its unit left out: `gpu0/utilization_percent` is "GPU 0 utilization". */
export function systemTitle(tag: string): string {
  const unit = UNITS.find(([pattern]) => pattern.test(tag))?.[0];
  const words = (unit ? tag.replace(unit, "") : tag).replace(/[/_]+/g, " ").trim();
  const title = NAMES.reduce((text, [pattern, name]) => text.replace(pattern, name), words).replace(
    / +/g,
    " ",
  );
  return title.charAt(0).toUpperCase() + title.slice(1);
}
