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

const NAMES: readonly (readonly [RegExp, string])[] = [
  [/\bcpu\b/g, "CPU"],
  [/\bgpu(\d*)\b/g, "GPU $1"],
  [/\brss\b/g, "RSS"],
];

/** A tag in words, its unit left out: `gpu0/utilization_percent` is "GPU 0 utilization". */
export function systemTitle(tag: string): string {
  const unit = UNITS.find(([pattern]) => pattern.test(tag))?.[0];
  const words = (unit ? tag.replace(unit, "") : tag).replace(/[/_]+/g, " ").trim();
  const title = NAMES.reduce((text, [pattern, name]) => text.replace(pattern, name), words);
  return title.charAt(0).toUpperCase() + title.slice(1);
}
