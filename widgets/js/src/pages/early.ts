/** Runs before the page is painted, so that a reader who chose dark never sees a white one. */

import { appearance, apply } from "./appearance.ts";

apply(appearance());
