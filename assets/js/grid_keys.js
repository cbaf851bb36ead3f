// The keyboard of the grid.

const TO_BUTTON = new Set(["BUTTON", "INPUT", "TEXTAREA", "SELECT"]);

/** Moves, opens or corrects; leaves every other key alone. */
export function gridKeys(grid, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || TO_BUTTON.has(event.target.tagName)) return;
  const page = grid.view.pageLength;
  const last = (grid.pages.total ?? 0) - 1;
  const actions = {
    j: () => grid.select(grid.row + 1),
    arrowdown: () => grid.select(grid.row + 1),
    k: () => grid.select(grid.row - 1),
    arrowup: () => grid.select(grid.row - 1),
    arrowright: () => grid.select(Math.max(0, grid.row), grid.column + 1),
    arrowleft: () => grid.select(Math.max(0, grid.row), grid.column - 1),
    pagedown: () => grid.select(grid.row + page),
    pageup: () => grid.select(grid.row - page),
    home: () => grid.select(0),
    end: () => grid.select(last),
    enter: () => grid.open(),
    e: () => grid.edit(),
  };
  const action = actions[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}
