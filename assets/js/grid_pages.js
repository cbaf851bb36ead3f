// Rows of a run, page by page: what is on the screen is fetched, what is far away is forgotten.

import { getJSON } from "./api.js";

const SIZE = 100;
const KEPT = 30;
const RETRY_AFTER = 3000;

export class Pages {
  /** path: the rows endpoint. onChange() after new rows; onError(sentence), "" when it works again. */
  constructor(path, onChange, onError) {
    this.path = path;
    this.onChange = onChange;
    this.onError = onError;
    this.query = { step: "", state: "", reason: "", q: "", sort: "", desc: false };
    this.columns = [];
    this.counts = { all: 0 };
    this.total = null;
    this.start();
  }

  start() {
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.pages = new Map();
    this.pending = new Set();
    this.failed = false;
  }

  /** Asks anew with other filters; the shape (total, columns, counts) stays until the answer is here. */
  reset(query = {}) {
    Object.assign(this.query, query);
    this.start();
    this.want(0, 0);
  }

  end() {
    this.aborter.abort();
  }

  /** The row at an index, or undefined while it is on its way. */
  row(index) {
    return this.pages.get(Math.floor(index / SIZE))?.rows[index % SIZE];
  }

  /** Sees to it that the rows from first to last are there soon. */
  want(first, last) {
    if (this.failed) return;
    for (let number = Math.floor(first / SIZE); number <= Math.floor(last / SIZE); number++) {
      const page = this.pages.get(number);
      if (page) {
        this.pages.delete(number);
        this.pages.set(number, page);
      }
      if (!page || page.isStale) this.fetch(number);
    }
  }

  /** Asks again for what is on the screen; pages elsewhere are asked again when they are next needed. */
  refresh(first, last) {
    for (const page of this.pages.values()) page.isStale = true;
    this.want(first, Math.max(first, last));
  }

  async fetch(number) {
    if (this.pending.has(number)) return;
    this.pending.add(number);
    const { signal } = this.aborter;
    const { pages, pending } = this;
    try {
      const old = pages.get(number);
      const answer = await getJSON(this.address(number), { etag: old?.etag ?? null, signal });
      if (signal.aborted) return;
      if (answer.status === 304) old.isStale = false;
      else this.keep(number, answer);
      this.onError("");
    } catch (error) {
      if (signal.aborted) return;
      this.pause(error.message);
    } finally {
      pending.delete(number);
    }
    this.onChange();
  }

  keep(number, { body, etag }) {
    this.total = body.total;
    this.columns = body.columns;
    this.counts = body.counts;
    this.pages.set(number, { rows: body.rows, etag, isStale: false });
    for (const oldest of this.pages.keys()) {
      if (this.pages.size <= KEPT) break;
      this.pages.delete(oldest);
    }
  }

  pause(sentence) {
    this.failed = true;
    this.onError(sentence);
    const { signal } = this.aborter;
    setTimeout(() => {
      if (signal.aborted) return;
      this.failed = false;
      if (this.total === null) this.want(0, 0);
      this.onChange();
    }, RETRY_AFTER);
  }

  address(number) {
    const { step, state, reason, q, sort, desc } = this.query;
    return `${this.path}?${new URLSearchParams({ step, state, reason, q, sort, desc, offset: number * SIZE, limit: SIZE })}`;
  }
}
