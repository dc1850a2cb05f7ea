"""Whether the page around a panel is dark, as the page itself says it."""

from __future__ import annotations

import anywidget
import traitlets

# By the first ground that is not transparent: JupyterLab, Notebook, VS Code and Voila name their themes differently.
_ESM = """
function render({ model, el }) {
  el.style.display = "none";
  const look = () => {
    let ground = null;
    for (let at = el.parentElement; at && !ground; at = at.parentElement) {
      const [red, green, blue, alpha = 1] = (getComputedStyle(at).backgroundColor.match(/[\\d.]+/g) ?? []).map(Number);
      if (alpha > 0 && blue !== undefined) ground = 0.299 * red + 0.587 * green + 0.114 * blue;
    }
    if (ground === null || model.get("dark") === ground < 128) return;
    model.set("dark", ground < 128);
    model.save_changes();
  };
  const soon = () => setTimeout(look, 200); // a theme's colors come a moment after its name
  const watcher = new MutationObserver(soon);
  for (const each of [document.documentElement, document.body]) watcher.observe(each, { attributes: true });
  soon();
  return () => watcher.disconnect();
}
export default { render };
"""


class Theme(anywidget.AnyWidget):
    """Takes no room; None until a page has said it."""

    _esm = _ESM
    dark = traitlets.Bool(None, allow_none=True).tag(sync=True)
