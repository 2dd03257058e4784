import { Feed } from "./feed.ts";

declare global {
  /** Every feed of the page by its panel's uid: views find their points here, and tests look in. */
  var __runcast: Map<string, Feed> | undefined;
}

const holders = new WeakMap<Feed, number>();

/**
 * The page's feed for a panel, made if need be, and kept until each holder's `life` has ended.
 *
 * It is global because a widget's `initialize` and each of its `render`s get different proxies of one model.
 */
export function holdFeed(uid: string, life: AbortSignal): Feed {
  globalThis.__runcast ??= new Map();
  const feeds = globalThis.__runcast;
  const feed = feeds.get(uid) ?? new Feed(uid);
  feeds.set(uid, feed);
  holders.set(feed, (holders.get(feed) ?? 0) + 1);
  life.addEventListener(
    "abort",
    () => {
      const left = (holders.get(feed) ?? 1) - 1;
      holders.set(feed, left);
      if (left > 0) return;
      feed.close();
      if (feeds.get(uid) === feed) feeds.delete(uid);
    },
    { once: true },
  );
  return feed;
}
