"""The look of Gradio's own widgets, and what every page loads in its head."""

from typing import Final

import gradio as gr

from app.ui.assets import asset_url

SHEETS: Final = ("app", "widgets", "parts", "steps", "run", "grid", "build", "pages", "jobs")
STYLESHEETS: Final = tuple(f"css/{name}.css" for name in SHEETS)

_SAGE = gr.themes.Color(
    name="sage",
    c50="#eef5f1",
    c100="#dcebe4",
    c200="#b5d6c9",
    c300="#86bba9",
    c400="#549c87",
    c500="#2f7d69",
    c600="#2f6f5e",
    c700="#265a4c",
    c800="#1f483e",
    c900="#1a3b33",
    c950="#0e211c",
)
_STONE = gr.themes.Color(
    name="stone",
    c50="#fcfbf9",
    c100="#f6f4ef",
    c200="#e4dfd4",
    c300="#cfc8ba",
    c400="#a39c8d",
    c500="#6b675d",
    c600="#5c584f",
    c700="#403e38",
    c800="#29322d",
    c900="#161b18",
    c950="#121614",
)

THEME: gr.themes.Base = gr.themes.Base(
    primary_hue=_SAGE,
    secondary_hue=_SAGE,
    neutral_hue=_STONE,
    radius_size=gr.themes.sizes.radius_md,
    spacing_size=gr.themes.sizes.spacing_md,
    text_size=gr.themes.sizes.text_md,
    font=["Figtree", "system-ui", "sans-serif"],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
).set(
    # Hex, not a reference: Gradio paints these before any style sheet has arrived.
    body_background_fill="#f6f4ef",
    body_background_fill_dark="#121614",
    body_text_color="#24302b",
    body_text_color_dark="#e6ebe7",
    body_text_color_subdued="#6b675d",
    body_text_color_subdued_dark="#9aa39d",
    body_text_size="14px",
    background_fill_primary="#fcfbf9",
    background_fill_primary_dark="#161b18",
    background_fill_secondary="#f1eee7",
    background_fill_secondary_dark="#1d2420",
    border_color_primary="#e4dfd4",
    border_color_primary_dark="#29322d",
    border_color_accent="#2f7d69",
    border_color_accent_dark="#7cc4ac",
    color_accent="#2f7d69",
    color_accent_soft="#eef5f1",
    color_accent_soft_dark="#1b332b",
    link_text_color="#2f6f5e",
    link_text_color_dark="#7cc4ac",
    link_text_color_hover="#1f483e",
    link_text_color_hover_dark="#a6dccb",
    link_text_color_visited="#2f6f5e",
    link_text_color_visited_dark="#7cc4ac",
    link_text_color_active="#2f6f5e",
    link_text_color_active_dark="#7cc4ac",
    block_background_fill="transparent",
    block_background_fill_dark="transparent",
    block_border_width="0px",
    block_shadow="none",
    block_padding="0px",
    block_radius="10px",
    block_title_text_color="#24302b",
    block_title_text_color_dark="#e6ebe7",
    block_title_text_size="13px",
    block_title_text_weight="550",
    block_label_text_color="#6b675d",
    block_label_text_color_dark="#9aa39d",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_border_width="0px",
    block_info_text_size="12.5px",
    block_info_text_color="#6b675d",
    block_info_text_color_dark="#9aa39d",
    panel_border_width="0px",
    panel_background_fill="transparent",
    panel_background_fill_dark="transparent",
    layout_gap="16px",
    form_gap_width="0px",
    section_header_text_size="14px",
    section_header_text_weight="550",
    input_background_fill="#ffffff",
    input_background_fill_dark="#121614",
    input_border_color="#b5ae9f",
    input_border_color_dark="#4c5852",
    input_border_color_focus="#2f7d69",
    input_border_color_focus_dark="#7cc4ac",
    input_border_width="1px",
    input_shadow="none",
    input_shadow_focus="none",
    input_padding="9px 12px",
    input_radius="9px",
    input_text_size="14px",
    input_placeholder_color="#757066",
    input_placeholder_color_dark="#8b958f",
    checkbox_border_color="#8f897c",
    checkbox_border_color_dark="#67736c",
    checkbox_background_color="#ffffff",
    checkbox_background_color_dark="#121614",
    checkbox_background_color_selected="#2f6f5e",
    checkbox_background_color_selected_dark="#2f7d69",
    checkbox_border_color_selected="#2f6f5e",
    checkbox_border_color_selected_dark="#2f7d69",
    checkbox_border_radius="5px",
    checkbox_label_background_fill="transparent",
    checkbox_label_background_fill_dark="transparent",
    checkbox_label_background_fill_hover="*background_fill_secondary",
    checkbox_label_background_fill_selected="*color_accent_soft",
    checkbox_label_background_fill_selected_dark="*color_accent_soft",
    checkbox_label_border_color="*border_color_primary",
    checkbox_label_shadow="none",
    checkbox_shadow="none",
    checkbox_label_text_color="#24302b",
    checkbox_label_text_color_dark="#e6ebe7",
    checkbox_label_text_color_selected="#24302b",
    checkbox_label_text_color_selected_dark="#e6ebe7",
    slider_color="#2f7d69",
    slider_color_dark="#4f9986",
    loader_color="#2f7d69",
    error_background_fill="#fbeae6",
    error_background_fill_dark="#33190f",
    error_border_color="#d8a093",
    error_border_color_dark="#7c3a2b",
    error_text_color="#9b2c1c",
    error_text_color_dark="#f2a091",
    error_icon_color="#9b2c1c",
    error_icon_color_dark="#f2a091",
    stat_background_fill="#2f7d69",
    table_border_color="#e4dfd4",
    table_border_color_dark="#29322d",
    table_even_background_fill="#fcfbf9",
    table_even_background_fill_dark="#161b18",
    table_odd_background_fill="#fcfbf9",
    table_odd_background_fill_dark="#161b18",
    table_row_focus="#e5ece7",
    table_row_focus_dark="#1a2825",
    table_radius="10px",
    code_background_fill="#f1eee7",
    code_background_fill_dark="#1d2420",
    button_border_width="1px",
    button_transition="background-color .12s ease, border-color .12s ease",
    button_large_radius="9px",
    button_medium_radius="9px",
    button_small_radius="8px",
    button_large_padding="9px 18px",
    button_medium_padding="8px 16px",
    button_small_padding="5px 11px",
    button_large_text_size="14px",
    button_medium_text_size="14px",
    button_small_text_size="13px",
    button_large_text_weight="600",
    button_medium_text_weight="600",
    button_small_text_weight="550",
    button_primary_background_fill="#2f6f5e",
    button_primary_background_fill_dark="#2f7d69",
    button_primary_background_fill_hover="#265a4c",
    button_primary_background_fill_hover_dark="#286c5b",
    button_primary_border_color="#2f6f5e",
    button_primary_border_color_dark="#2f7d69",
    button_primary_text_color="#ffffff",
    button_primary_shadow="none",
    button_secondary_background_fill="#fcfbf9",
    button_secondary_background_fill_dark="#161b18",
    button_secondary_background_fill_hover="#f1eee7",
    button_secondary_background_fill_hover_dark="#1d2420",
    button_secondary_border_color="#d3ccbe",
    button_secondary_border_color_dark="#3a453f",
    button_secondary_text_color="#24302b",
    button_secondary_text_color_dark="#e6ebe7",
    button_secondary_shadow="none",
    button_cancel_background_fill="#fcfbf9",
    button_cancel_background_fill_dark="#161b18",
    button_cancel_background_fill_hover="#fbeae6",
    button_cancel_background_fill_hover_dark="#33190f",
    button_cancel_border_color="#d8a093",
    button_cancel_border_color_dark="#7c3a2b",
    button_cancel_text_color="#9b2c1c",
    button_cancel_text_color_dark="#f2a091",
    button_cancel_shadow="none",
)

# Gradio sets the dark class itself on load and whenever the system changes, so the choice is held by an observer.
# The base address of a page is its folder, so a plain #sr-content would lead away from it: the script jumps instead.
_PAGE_SCRIPT = """
(() => {
  if (window.stillroomPage) return;
  window.stillroomPage = true;
  const KEY = "stillroom-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const known = (mode) => (mode === "dark" || mode === "light" ? mode : null);
  const saved = () => { try { return known(localStorage.getItem(KEY)); } catch { return null; } };
  let chosen = known(new URLSearchParams(location.search).get("__theme")) || saved();
  const mode = () => chosen || (system.matches ? "dark" : "light");
  const paint = () => {
    if (document.body.classList.contains("dark") !== (mode() === "dark")) document.body.classList.toggle("dark");
  };
  const actions = {
    "[data-sr-theme]": () => {
      chosen = mode() === "dark" ? "light" : "dark";
      try { localStorage.setItem(KEY, chosen); } catch { /* refused in private windows: kept for this page only */ }
      paint();
    },
    ".sr-skip": () => {
      const content = document.getElementById("sr-content");
      content.tabIndex = -1;
      content.focus();
    },
  };
  document.addEventListener("click", (event) => {
    const selector = Object.keys(actions).find((one) => event.target.closest && event.target.closest(one));
    if (!selector) return;
    event.preventDefault();
    actions[selector]();
  });
  // Gradio has one title for all pages; tabs and bookmarks are told apart by the heading.
  const name = () => {
    const title = document.querySelector(".sr-title")?.textContent.trim();
    const wanted = !title || title === "Home" ? "Stillroom" : `${title} \u00b7 Stillroom`;
    if (document.title !== wanted) document.title = wanted;
  };
  new MutationObserver(name).observe(document.body, {subtree: true, childList: true, characterData: true});
  system.addEventListener("change", paint);
  new MutationObserver(paint).observe(document.body, {attributes: true, attributeFilter: ["class"]});
  paint();
})();
"""

HEAD: str = "\n".join(
    [
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<link rel="icon" type="image/svg+xml" href="{asset_url("favicon.svg")}">',
        f'<link rel="alternate icon" type="image/png" href="{asset_url("favicon.png")}">',
        *(f'<link rel="stylesheet" href="{asset_url(sheet)}">' for sheet in STYLESHEETS),
        f"<script>{_PAGE_SCRIPT}</script>",
    ]
)
"""What `gr.mount_gradio_app(head=…)` gets: styles, favicon and the theme switch. Nothing external."""
