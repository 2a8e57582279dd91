"""The page's look: quiet, high contrast, one accent, system fonts only (no request leaves the page for a font)."""

from collections.abc import Iterable

import gradio as gr
from gradio.themes.utils import colors, sizes

SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

# Gradio's names of colors, widths and weights; `_dark` for the dark page.
SETTINGS = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "body_text_color": "*neutral_900",
    "body_text_color_dark": "*neutral_100",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "color_accent": "*primary_700",
    "color_accent_soft": "*primary_50",
    "color_accent_soft_dark": "*primary_950",
    "border_color_accent": "*primary_700",
    "border_color_accent_dark": "*primary_400",
    "block_background_fill": "white",
    "block_background_fill_dark": "*neutral_900",
    "block_border_color": "*neutral_200",
    "block_border_color_dark": "*neutral_800",
    "block_shadow": "none",
    "block_shadow_dark": "none",
    "block_label_background_fill": "white",
    "block_label_background_fill_dark": "*neutral_900",
    "block_label_text_color": "*neutral_700",
    "block_label_text_color_dark": "*neutral_300",
    "block_title_text_color": "*neutral_800",
    "block_title_text_color_dark": "*neutral_200",
    "block_title_text_weight": "600",
    "block_label_text_weight": "600",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_400",
    "input_background_fill": "white",
    "input_background_fill_dark": "*neutral_950",
    "input_border_width": "1px",
    "input_border_width_dark": "1px",
    "input_border_color": "*neutral_400",
    "input_border_color_dark": "*neutral_600",
    "input_placeholder_color": "*neutral_600",
    "input_placeholder_color_dark": "*neutral_400",
    "button_border_width": "1px",
    "button_border_width_dark": "1px",
    "button_primary_border_color": "*primary_700",
    "button_primary_border_color_dark": "*primary_400",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_dark": "*primary_400",
    "button_primary_background_fill_hover_dark": "*primary_300",
    "button_primary_text_color": "white",
    "button_primary_text_color_dark": "*neutral_950",
    "button_secondary_background_fill": "white",
    "button_secondary_background_fill_hover": "*neutral_100",
    "button_secondary_background_fill_dark": "*neutral_800",
    "button_secondary_background_fill_hover_dark": "*neutral_700",
    "button_secondary_border_color": "*neutral_400",
    "button_secondary_border_color_dark": "*neutral_600",
    "button_secondary_text_color": "*neutral_900",
    "button_secondary_text_color_dark": "*neutral_100",
    "checkbox_background_color_selected": "*primary_700",
    "checkbox_background_color_selected_dark": "*primary_500",
    "checkbox_border_color": "*neutral_500",
    "checkbox_border_color_dark": "*neutral_400",
    "checkbox_border_color_selected": "*primary_700",
    "checkbox_border_color_selected_dark": "*primary_400",
    "checkbox_label_background_fill_selected": "*primary_50",
    "checkbox_label_background_fill_selected_dark": "*primary_950",
    "checkbox_label_text_color_selected": "*neutral_900",
    "checkbox_label_text_color_selected_dark": "*neutral_50",
    "checkbox_label_border_color_selected": "*primary_700",
    "checkbox_label_border_color_selected_dark": "*primary_400",
    "slider_color": "*primary_700",
    "slider_color_dark": "*primary_400",
    "link_text_color": "*primary_700",
    "link_text_color_hover": "*primary_800",
    "link_text_color_visited": "*primary_700",
    "link_text_color_dark": "*primary_300",
    "link_text_color_hover_dark": "*primary_200",
    "link_text_color_visited_dark": "*primary_300",
}


class DepthTheme(gr.themes.Base):
    """Slate neutrals with a teal accent; every text pair reaches WCAG AA in light and dark."""

    def __init__(self, *, font: Iterable[str] = SANS, font_mono: Iterable[str] = MONO) -> None:
        super().__init__(
            primary_hue=colors.teal,
            secondary_hue=colors.slate,
            neutral_hue=colors.slate,
            text_size=sizes.text_md,
            spacing_size=sizes.spacing_md,
            radius_size=sizes.radius_md,
            font=list(font),
            font_mono=list(font_mono),
        )
        self.name = "glpn"
        self.set(**SETTINGS)
