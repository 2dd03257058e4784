/** What a reader types above the runs, as the API's filter: words without an operator are looked for in the name. */
export function filterOf(typed: string): string {
  const text = typed.trim();
  if (!text || /[=<>~!()]|\b(and|or|not|in|contains)\b/i.test(text)) return text;
  return `name contains ${JSON.stringify(text)}`;
}
