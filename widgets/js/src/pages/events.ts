/** Server-sent events out of a stream of bytes: `EventSource` cannot send the headers that a shared page needs. */

export interface ServerEvent {
  readonly id: string;
  readonly kind: string;
  readonly text: string;
}

/** Cuts a stream into events, whatever its pieces are. */
export class EventReader {
  private readonly decoder = new TextDecoder();
  private rest = "";
  private id = "";
  private kind = "";
  private lines: string[] = [];

  constructor(private readonly take: (event: ServerEvent) => void) {}

  push(piece: Uint8Array): void {
    const lines = (this.rest + this.decoder.decode(piece, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.line(line);
  }

  private line(line: string): void {
    if (line === "") {
      if (this.lines.length)
        this.take({ id: this.id, kind: this.kind || "message", text: this.lines.join("\n") });
      this.kind = "";
      this.lines = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.lines.push(value);
    else if (field === "event") this.kind = value;
    else if (field === "id") this.id = value;
  }
}
