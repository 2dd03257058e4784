/** Which page an address is: `/projects/:name/members` names what is between the slashes. */

import { address, BASE } from "./base.ts";

export interface Match<T> {
  readonly view: T;
  readonly parameters: Readonly<Record<string, string>>;
}

export class Router<T> {
  private readonly routes: { readonly parts: readonly string[]; readonly view: T }[];

  constructor(routes: Readonly<Record<string, T>>) {
    this.routes = Object.entries(routes).map(([pattern, view]) => ({ parts: split(pattern), view }));
  }

  /** Find the page of a path as it stands in the address, percent signs included: a name may have slashes of its own. */
  match(path: string): Match<T> | null {
    if (!path.startsWith(`${BASE}/`)) return null;
    const found = split(path.slice(BASE.length));
    for (const { parts, view } of this.routes) {
      if (parts.length !== found.length) continue;
      const parameters: Record<string, string> = {};
      const fits = parts.every((part, k) => {
        if (!part.startsWith(":")) return part === found[k];
        const value = decoded(found[k]);
        if (value === null) return false;
        parameters[part.slice(1)] = value;
        return true;
      });
      if (fits) return { view, parameters };
    }
    return null;
  }
}

/** Where to go after logging in: a page of this site, whatever the address says. */
export function nextPage(said: string | null): string {
  return said !== null && /^\/(?![/\\])/.test(said) && said.startsWith(`${BASE}/`) ? said : address();
}

function split(path: string): string[] {
  return path.split("/").filter(Boolean);
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
