/** What a run printed, line by line; `runcast/run/console/spool.py` describes the file. */

import { isRecord } from "../frame.ts";

export interface ConsoleLine {
  readonly stream: string;
  readonly text: string;
  /** Seconds since the epoch. */
  readonly time: number | null;
}

/** Takes pieces of `console.jsonl`, and knows how each line looks now: a progress bar is a line that changes. */
export class ConsoleLines {
  readonly lines: ConsoleLine[] = [];
  private readonly places = new Map<string, number>();
  private readonly decoder = new TextDecoder();
  private rest = "";
  private process = 0;

  /** Take the next bytes; return the index of the first line that is new or changed. A cut first line is passed over. */
  push(bytes: Uint8Array): number {
    const texts = (this.rest + this.decoder.decode(bytes, { stream: true })).split("\n");
    this.rest = texts.pop() ?? "";
    let first = this.lines.length;
    for (const text of texts) first = Math.min(first, this.take(text));
    return first;
  }

  private take(text: string): number {
    let said: unknown;
    try {
      said = JSON.parse(text);
    } catch {
      return this.lines.length;
    }
    if (!isRecord(said)) return this.lines.length;
    if ("started" in said) this.process++;
    const stream = String(said.s ?? "out");
    const time = typeof said.t === "number" ? said.t : null;
    if (typeof said.left_out === "number") {
      return this.lines.push({ stream: "note", text: `… ${said.left_out} lines are left out …`, time }) - 1;
    }
    if (typeof said.n !== "number") return this.lines.length;
    const line = { stream, text: String(said.x ?? ""), time };
    const key = `${this.process}/${stream}/${said.n}`;
    const place = this.places.get(key);
    if (place !== undefined) {
      this.lines[place] = line;
      return place;
    }
    this.places.set(key, this.lines.length);
    return this.lines.push(line) - 1;
  }
}
