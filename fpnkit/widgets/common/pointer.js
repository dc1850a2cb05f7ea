// Lies over a figure: tells what is under the mouse, or where the arrow keys lead; a frame zooms, a click chooses.

const NEAR = 14; // pixels between mouse and spot
const SMALLEST = 8; // pixels of a frame; less is a click
const PAUSE = 60; // ms between questions to the kernel
const HELP = "figure: arrow keys go from point to point, Enter chooses, plus zooms in, minus goes back, 0 shows all";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function render({ model, el }) {
  const sheet = element("div", { class: "fpnkit-pointer", tabindex: "0", role: "application", "aria-label": HELP });
  sheet.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes the keys for commands of its own
  const marks = element("div");
  const tip = element("div", { class: "tip", "aria-hidden": "true" });
  const said = element("div", { class: "said", role: "status" });
  const tools = element("div", { class: "tools" });
  let at = -1; // the spot that keys have reached
  let frame = null; // {area, x, y, band} while it is drawn
  let asking = 0;

  const spots = () => model.get("spots").map(([left, bottom, words, key, group]) => ({ left, bottom, words, key, group }));
  const size = () => sheet.getBoundingClientRect();
  const place = (event) => {
    const box = size();
    return { left: (event.clientX - box.left) / box.width, bottom: 1 - (event.clientY - box.top) / box.height };
  };
  const areaAt = ({ left, bottom }) => model.get("areas").findIndex((a) => a.length && left >= a[0] && left <= a[2] && bottom >= a[1] && bottom <= a[3]);
  const nearest = ({ left, bottom }) => {
    const { width, height } = size();
    let [best, least] = [-1, NEAR];
    spots().forEach((spot, index) => {
      const apart = Math.hypot((spot.left - left) * width, (spot.bottom - bottom) * height);
      if (apart < least) [best, least] = [index, apart];
    });
    return best;
  };
  const percent = (share) => `${(100 * share).toFixed(2)}%`;
  const mark = (kind, { left, bottom }) => element("span", { class: kind, style: `left:${percent(left)};bottom:${percent(bottom)}` });

  const hide = () => {
    at = -1;
    tip.remove();
    marks.querySelector(".spot")?.remove();
  };
  const tell = ({ left, bottom }, words) => {
    tip.textContent = words;
    const side = left < 0.5 ? `left:calc(${percent(left)} + 12px)` : `right:calc(${percent(1 - left)} + 12px)`; // else it would stand out
    const level = bottom < 0.5 ? `bottom:calc(${percent(bottom)} + 12px)` : `top:calc(${percent(1 - bottom)} + 12px)`;
    tip.style.cssText = `${side};${level}`;
    sheet.append(tip);
  };
  const goTo = (index, aloud) => {
    hide();
    const spot = spots()[index];
    if (!spot) return;
    at = index;
    marks.append(mark("spot", spot));
    tell(spot, spot.words);
    if (aloud) said.textContent = spot.words;
  };
  const choose = (index) => {
    const key = spots()[index]?.key;
    if (!key) return;
    model.set("chosen", model.get("chosen") === key ? "" : key);
    model.save_changes();
  };
  const zoomTo = (area, [left, bottom, right, top]) => {
    const [l, b, r, t] = model.get("areas")[area];
    const within = (share) => Math.min(1, Math.max(0, share));
    const [wide, high] = [r - l, t - b];
    model.send({ zoom: [area, within((left - l) / wide), within((bottom - b) / high), within((right - l) / wide), within((top - b) / high)] });
  };
  const zoomIn = () => {
    const spot = spots()[at];
    const area = spot ? areaAt(spot) : model.get("areas").findIndex((each) => each.length);
    if (area < 0) return;
    const [l, b, r, t] = model.get("areas")[area];
    const [wide, high] = [(r - l) / 4, (t - b) / 4];
    const middle = (from, to, part, wanted) => Math.min(Math.max(wanted, from + part), to - part); // all of it lies inside
    const [x, y] = spot ? [middle(l, r, wide, spot.left), middle(b, t, high, spot.bottom)] : [(l + r) / 2, (b + t) / 2];
    zoomTo(area, [x - wide, y - high, x + wide, y + high]);
  };
  const ask = (where) => {
    clearTimeout(asking);
    asking = setTimeout(() => model.send({ ask: [where.left, where.bottom] }), PAUSE);
  };

  sheet.onpointermove = (event) => {
    const now = place(event);
    if (frame) {
      const box = size();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const [left, top] = [Math.min(x, frame.x), Math.min(y, frame.y)];
      frame.band.style.cssText = `left:${left}px;top:${top}px;width:${Math.abs(x - frame.x)}px;height:${Math.abs(y - frame.y)}px`;
      return;
    }
    const found = nearest(now);
    const area = areaAt(now);
    if (found >= 0) {
      clearTimeout(asking);
      if (found !== at) goTo(found, false);
    } else {
      hide();
      if (area >= 0 && model.get("asked")[area]) ask(now);
      else clearTimeout(asking);
    }
  };
  sheet.onpointerleave = () => {
    clearTimeout(asking);
    if (!frame) hide();
  };
  sheet.onpointerdown = (event) => {
    if (event.target.closest("button")) return;
    if (event.button !== 0) {
      sheet.style.pointerEvents = "none"; // the menu is that of the picture below: to copy or save it
      setTimeout(() => (sheet.style.pointerEvents = ""), 1000);
      return;
    }
    const area = areaAt(place(event));
    if (area < 0 || event.pointerType === "touch") return;
    const box = size();
    frame = { area, from: place(event), x: event.clientX - box.left, y: event.clientY - box.top, band: element("div", { class: "band" }) };
    sheet.append(frame.band);
    sheet.setPointerCapture(event.pointerId);
  };
  const drop = () => {
    frame?.band.remove();
    frame = null;
  };
  sheet.onpointercancel = drop;
  sheet.onpointerup = (event) => {
    if (!frame) return;
    const { area, from, x, y } = frame;
    const [box, to] = [size(), place(event)];
    drop();
    const [wide, high] = [Math.abs(event.clientX - box.left - x), Math.abs(event.clientY - box.top - y)];
    if (wide < SMALLEST && high < SMALLEST) return choose(nearest(to));
    if (wide < SMALLEST || high < SMALLEST) return;
    hide();
    zoomTo(area, [Math.min(from.left, to.left), Math.min(from.bottom, to.bottom), Math.max(from.left, to.left), Math.max(from.bottom, to.bottom)]);
  };
  sheet.ondblclick = (event) => {
    if (!event.target.closest("button")) model.send({ back: true });
  };
  const step = (by) => {
    const every = spots();
    if (at < 0) return 0;
    const own = every.map((spot, index) => ({ ...spot, index })).filter((spot) => spot.group === every[at].group);
    own.sort((a, b) => a.left - b.left);
    const next = own.findIndex((spot) => spot.index === at) + by;
    return own[Math.min(Math.max(next, 0), own.length - 1)].index;
  };
  const cross = (by) => {
    const every = spots();
    if (at < 0) return 0;
    const groups = [...new Set(every.map((spot) => spot.group))];
    const group = groups[(groups.indexOf(every[at].group) + by + groups.length) % groups.length];
    const other = every.map((spot, index) => ({ ...spot, index })).filter((spot) => spot.group === group);
    return other.reduce((a, b) => (Math.abs(b.left - every[at].left) < Math.abs(a.left - every[at].left) ? b : a)).index;
  };
  const keys = {
    ArrowRight: () => goTo(step(1), true),
    ArrowLeft: () => goTo(step(-1), true),
    ArrowDown: () => goTo(cross(1), true),
    ArrowUp: () => goTo(cross(-1), true),
    Enter: () => choose(at),
    "+": zoomIn,
    "=": zoomIn,
    "-": () => model.send({ back: false }),
    0: () => model.send({ back: true }),
    Escape: hide,
  };
  sheet.onkeydown = (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target !== sheet) return;
    act();
    event.preventDefault();
    event.stopPropagation();
  };
  sheet.onblur = hide;

  const tool = (label, name, disabled, act) => {
    const button = element("button", { type: "button", title: name, "aria-label": name, tabindex: "-1" }, label); // keys do the same
    button.disabled = disabled;
    button.onclick = act;
    return button;
  };
  const draw = () => {
    const before = at;
    sheet.style.width = `${model.get("width")}px`;
    sheet.style.aspectRatio = String(model.get("aspect"));
    marks.replaceChildren(...spots().filter((spot) => spot.key && spot.key === model.get("chosen")).map((spot) => mark("ring", spot)));
    const zoomed = model.get("zoomed");
    const focused = tools.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    tools.classList.toggle("zoomed", zoomed);
    tools.replaceChildren(
      tool("+", "zoom in", !model.get("areas").some((each) => each.length), zoomIn),
      tool("−", "zoom back", !zoomed, () => model.send({ back: false })),
      tool("all", "show all", !zoomed, () => model.send({ back: true })),
    );
    if (focused) (tools.querySelector(`[aria-label="${focused}"]:enabled`) ?? sheet).focus();
    if (sheet.matches(":hover, :focus")) goTo(before, false);
    else hide();
  };
  const answer = ({ at: where, said: words }) => {
    if (words && where && sheet.matches(":hover") && at < 0 && !frame) tell({ left: where[0], bottom: where[1] }, words);
  };

  sheet.append(marks, tools, said);
  el.append(sheet);
  draw();
  model.on("change:drawn", draw);
  model.on("change:chosen", draw);
  model.on("msg:custom", answer);
  return () => {
    model.off("change:drawn", draw);
    model.off("change:chosen", draw);
    model.off("msg:custom", answer);
  };
}

export default { render };
