/** The channel's messages out of a stream of bytes; `runcast/run/channel.py` describes them. */

import { isRecord } from "../frame.ts";

/** More than any header is: what says so is not a message. */
const LONGEST_HEADER = 64 << 20;

/** Cuts a stream into messages, whatever its pieces are. */
export class MessageReader {
  private pieces: Uint8Array[] = [];
  private held = 0;
  private wanted = 4;

  constructor(private readonly take: (header: Record<string, unknown>, buffers: Uint8Array[]) => void) {}

  /** Take the next piece of the stream. Throws if it is none of messages. */
  push(piece: Uint8Array): void {
    this.pieces.push(piece);
    this.held += piece.length;
    if (this.held < this.wanted) return;
    let bytes = this.joined();
    while (bytes.length >= this.wanted) {
      const end = this.messageEnd(bytes);
      if (end === null) break;
      bytes = bytes.subarray(end);
      this.wanted = 4;
    }
    this.pieces = bytes.length ? [bytes] : [];
    this.held = bytes.length;
  }

  /** Take the message at the start; return where it ends, or null if it is not whole. */
  private messageEnd(bytes: Uint8Array): number | null {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const headerEnd = 4 + view.getUint32(0, true);
    if (headerEnd > LONGEST_HEADER) throw new Error("this is no stream of messages");
    this.wanted = headerEnd;
    if (bytes.length < headerEnd) return null;
    const header: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(4, headerEnd)));
    if (!isRecord(header) || !Array.isArray(header.buffers)) throw new Error("this is no message");
    const lengths = header.buffers.map(Number);
    this.wanted = lengths.reduce((sum, length) => sum + length, headerEnd);
    if (bytes.length < this.wanted) return null;
    let start = headerEnd;
    const buffers = lengths.map((length) => {
      start += length;
      return bytes.subarray(start - length, start);
    });
    this.take(header, buffers);
    return start;
  }

  private joined(): Uint8Array {
    if (this.pieces.length === 1) return this.pieces[0];
    const bytes = new Uint8Array(this.held);
    let at = 0;
    for (const piece of this.pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }
}
