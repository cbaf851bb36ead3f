// Which columns are shown and how wide: by what is in them, stretched to the room there is.

import { text } from "./words.js";

export const MOST_COLUMNS = 60;
const POSITION_WIDTH = 64;
const STATE_WIDTH = 126;
const NARROW = 170;
const LETTER = 7.1;

/** The columns to show, each with its length in letters; says which one is the main text. */
export function measure(columns, rows) {
  const shown = columns.slice(0, MOST_COLUMNS).map((column) => ({ ...column, letters: letters(column, rows) }));
  const given = shown.filter((column) => !column.editable && column.kind !== "number");
  const main = given.reduce((best, column) => (column.letters > (best?.letters ?? 0) ? column : best), null);
  if (main) main.isMain = true;
  return shown;
}

function letters(column, rows) {
  const lengths = rows.map((row) => text(row.values[column.name]).length).sort((a, b) => a - b);
  const typical = lengths[Math.floor(lengths.length * 0.8)] ?? 0;
  // An answer that was corrected shows both values, and a failed row tells its reason here.
  const room = column.editable ? Math.max(26, typical * 2 + 6) : typical;
  return Math.max(column.name.length + 2, room);
}

/** Pixel widths for position, state and each column; `chosen` holds the widths set by hand, by column name. */
export function widths(columns, room, chosen) {
  const natural = columns.map((column) => chosen[column.name] ?? clamp(column.letters * LETTER + 28, 84, 420));
  const spare = room - POSITION_WIDTH - STATE_WIDTH - natural.reduce((sum, width) => sum + width, 0);
  if (spare < 0) {
    // Long texts give way before the answers are pushed out of sight.
    const extra = columns.map((column, i) => (column.name in chosen ? 0 : Math.max(0, natural[i] - NARROW)));
    const all = extra.reduce((sum, width) => sum + width, 0);
    const cut = all ? Math.min(1, -spare / all) : 0;
    extra.forEach((width, i) => (natural[i] -= width * cut));
  } else {
    const free = columns.map((column) => (column.name in chosen || column.kind === "number" ? 0 : column.letters + 4));
    const all = free.reduce((sum, weight) => sum + weight, 0);
    free.forEach((weight, i) => (natural[i] += all ? (spare * weight) / all : 0));
  }
  return [POSITION_WIDTH, STATE_WIDTH, ...natural.map(Math.floor)];
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
