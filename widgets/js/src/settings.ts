import { Emitter } from "./emitter.ts";

export type XAxis = "step" | "relative" | "wall";
export type YScale = "linear" | "log";

export interface SettingValues {
  readonly smoothing: number;
  readonly x: XAxis;
  readonly y: YScale;
  readonly filter: string;
}

/** How the charts of one panel are drawn; all views of the panel share it. */
export class Settings {
  readonly changed = new Emitter();
  readonly hiddenSources = new Set<string>();
  readonly closedGroups = new Set<string>();
  private values: SettingValues;

  constructor(values: SettingValues) {
    this.values = values;
  }

  get current(): SettingValues {
    return this.values;
  }

  set(change: Partial<SettingValues>): void {
    this.values = { ...this.values, ...change };
    this.changed.emit();
  }

  toggleSource(id: string): void {
    if (!this.hiddenSources.delete(id)) this.hiddenSources.add(id);
    this.changed.emit();
  }

  /** Show this source alone, or all of them if it is alone already. */
  soloSource(id: string, all: readonly string[]): void {
    const others = all.filter((other) => other !== id);
    const alone = !this.hiddenSources.has(id) && others.every((other) => this.hiddenSources.has(other));
    this.hiddenSources.clear();
    if (!alone) for (const other of others) this.hiddenSources.add(other);
    this.changed.emit();
  }

  toggleGroup(name: string): void {
    if (!this.closedGroups.delete(name)) this.closedGroups.add(name);
    this.changed.emit();
  }
}

/** What a tag filter lets through; a pattern that is not a regular expression lets all through and says why. */
export function tagFilter(pattern: string): {
  readonly matches: (tag: string) => boolean;
  readonly problem: string | null;
} {
  if (!pattern) return { matches: () => true, problem: null };
  try {
    const expression = new RegExp(pattern, "i");
    return { matches: (tag) => expression.test(tag), problem: null };
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^.*: /, "") : String(error);
    return { matches: () => true, problem: `not a regular expression yet: ${reason}` };
  }
}
