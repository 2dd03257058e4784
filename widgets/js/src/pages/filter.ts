/** The API's words for what is typed and pressed above the runs; `runcast/store/query.py` reads them. */

import { sentence } from "./api.ts";

const CONDITION = /[=<>]|\s(in\s*\(|contains\s|exists\b)/i;

/** What a reader types, as a filter: what is no condition is looked for in the name. */
export function filterOf(typed: string): string {
  const text = typed.trim();
  return !text || CONDITION.test(text) ? text : `name contains ${quoted(text)}`;
}

/** How an order names a metric or a setting. */
export function fieldName(tree: "config" | "summary", key: string): string {
  const ending = tree === "summary" && /\.(last|min|max)$/.test(key);
  return `${tree}.${/^[^\s"'()<>=!,]+$/.test(key) && !ending ? key : quoted(key)}`;
}

/** What is wrong with a filter, without the words around it that say that it is one. */
export function filterProblem(message: string): string {
  return sentence(message.replace(/^.*cannot be understood: /i, ""));
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
