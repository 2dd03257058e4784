/** Where the page may reach a TensorBoard that listens on a port of the kernel's machine. */

interface Colab {
  kernel?: { proxyPort?: (port: number, options: { cache: boolean }) => Promise<string> };
}

/** TensorBoard takes seconds to start, and a proxy answers with errors until then. */
const PATIENCE_MS = 30_000;
const PAUSE_MS = 700;
const PROBE_MS = 10_000;

/** The addresses to try, the likeliest first: the notebook server's proxy, then the kernel's machine if it may be this one. */
export function addressesOf(port: number, page: Document, place: Location): string[] {
  const base = baseUrl(page);
  const proxied = base === null ? [] : [new URL(`${base}proxy/${port}/`, place.origin).href];
  const here = /^(localhost|127\.0\.0\.1|\[::1\])$/.test(place.hostname) ? [place.hostname] : ["localhost"];
  return [...proxied, ...here.map((host) => `http://${host}:${port}/`)];
}

/** The first address where TensorBoard answers; `null` if it is nowhere to be found. */
export async function findTensorBoard(port: number, life: AbortSignal): Promise<string | null> {
  const colab = (globalThis as { google?: { colab?: Colab } }).google?.colab;
  if (colab?.kernel?.proxyPort) return colab.kernel.proxyPort(port, { cache: true });
  const candidates = new Set(addressesOf(port, document, window.location));
  const deadline = Date.now() + PATIENCE_MS;
  while (candidates.size && Date.now() < deadline && !life.aborted) {
    for (const address of candidates) {
      const answer = await probe(address);
      if (answer === "yes") return address;
      if (answer === "never") candidates.delete(address);
    }
    await new Promise((wake) => setTimeout(wake, PAUSE_MS));
  }
  return null;
}

type Answer = "yes" | "not yet" | "never";

async function probe(address: string): Promise<Answer> {
  const sameOrigin = new URL(address).origin === window.location.origin;
  const signal = AbortSignal.timeout(PROBE_MS);
  try {
    if (!sameOrigin) {
      // Another origin's answer cannot be read, but that there is one can be seen.
      await fetch(address, { mode: "no-cors", cache: "no-store", signal });
      return "yes";
    }
    const response = await fetch(`${address}data/environment`, { cache: "no-store", signal });
    if (response.ok && response.headers.get("content-type")?.includes("json")) return "yes";
    // A notebook server without the proxy extension knows no such page; one with it fails until TensorBoard listens.
    return response.status === 404 || response.status === 403 || response.ok ? "never" : "not yet";
  } catch {
    return sameOrigin ? "not yet" : "never";
  }
}

/** The notebook server's base URL, as its page says it. */
function baseUrl(page: Document): string | null {
  try {
    const config: unknown = JSON.parse(page.getElementById("jupyter-config-data")?.textContent ?? "null");
    const base = (config as { baseUrl?: unknown } | null)?.baseUrl;
    return typeof base === "string" ? base : (page.body.dataset.baseUrl ?? null);
  } catch {
    return null;
  }
}
