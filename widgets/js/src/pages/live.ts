import { atEnd } from "../dom.ts";
import { type Api, ApiError } from "./api.ts";

/** Milliseconds before the first new try; each further one waits longer. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 20_000;
/** A stream that says nothing for this long is dead: the server says something every few seconds. */
const SILENCE = 45_000;

export interface LiveStream {
  /** What the next request asks for; called for each try. */
  readonly request: () => { readonly path: string; readonly headers?: Record<string, string> };
  /** A connection was made: what comes now starts anew. Returns what takes the bytes. */
  readonly onOpen: () => (piece: Uint8Array) => void;
  /** Whether the stream is connected. */
  readonly onState?: (connected: boolean) => void;
  /** The server says that it will not be: there is no such thing, or it may not be seen (any more). */
  readonly onRefused: (error: ApiError) => void;
}

/** Read a stream until `life` ends, connecting again whenever it breaks off. */
export function follow(api: Api, stream: LiveStream, life: AbortSignal): void {
  void run(api, stream, life);
}

async function run(api: Api, stream: LiveStream, life: AbortSignal): Promise<void> {
  let failures = 0;
  while (!life.aborted) {
    const connection = new AbortController();
    const end = () => connection.abort();
    life.addEventListener("abort", end, { once: true });
    try {
      const { path, headers } = stream.request();
      const response = await api.open(path, { signal: connection.signal, headers: headers ?? {} });
      const push = stream.onOpen();
      stream.onState?.(true);
      for await (const piece of pieces(response, connection)) {
        failures = 0;
        push(piece);
      }
    } catch (error) {
      if (life.aborted) return;
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) {
        stream.onRefused(error);
        return;
      }
    } finally {
      life.removeEventListener("abort", end);
      connection.abort();
    }
    if (life.aborted) return;
    stream.onState?.(false);
    await pause(backoff(failures++), life);
  }
}

/** How long to wait after so many failures, in milliseconds: longer each time, and never the same for all pages. */
export function backoff(failures: number, random: () => number = Math.random): number {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures) * (0.5 + random() / 2);
}

async function* pieces(response: Response, connection: AbortController): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  let silence: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      clearTimeout(silence);
      silence = setTimeout(() => connection.abort(), SILENCE);
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    clearTimeout(silence);
  }
}

/** Wait; a page that comes back into view, or a machine that comes back to the network, waits no longer. */
function pause(milliseconds: number, life: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener("online", done, { signal: life });
    atEnd(life, done);
  });
}
