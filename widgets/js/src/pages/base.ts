/** The path below which the server is reached, as a proxy may have it: "" or `/runcast`. */
export const BASE = typeof document === "undefined" ? "" : (document.documentElement.dataset.base ?? "");

/** The address of a page: each part in its place, whatever characters it has. */
export function address(...parts: string[]): string {
  return `${BASE}/${parts.map(encodeURIComponent).join("/")}`;
}

/** The server's address, as a recorder is told it. */
export function serverAddress(): string {
  return location.origin + BASE;
}
