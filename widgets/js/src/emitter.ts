/** A list of listeners that each last as long as the view that added them. */
export class Emitter<T = void> {
  private readonly listeners = new Set<(event: T) => void>();

  listen(life: AbortSignal, listener: (event: T) => void): void {
    if (life.aborted) return;
    this.listeners.add(listener);
    life.addEventListener("abort", () => this.listeners.delete(listener), { once: true });
  }

  emit(event: T): void {
    for (const listener of [...this.listeners]) listener(event);
  }
}
