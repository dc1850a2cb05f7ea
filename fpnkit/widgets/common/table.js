// One page of a table. Python sorts and cuts it into pages, so ten thousand rows are as fast as ten.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function render({ model, el }) {
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };

  const heading = ({ key, label, right }) => {
    const sorted = model.get("sort") === key;
    const down = model.get("descending");
    const button = element("button", { type: "button", "data-focus": `sort ${key}` }, label, sorted ? (down ? " ▾" : " ▴") : "");
    button.onclick = () => {
      model.set("descending", sorted ? !down : right || key === "created"); // the largest and newest first
      set("sort", key);
    };
    const order = sorted ? (down ? "descending" : "ascending") : null;
    return element("th", { scope: "col", class: right ? "right" : null, "aria-sort": order }, button);
  };

  const mark = (id, name) => {
    const box = element("input", { type: "checkbox", "aria-label": `compare ${name}`, "data-focus": `mark ${id}` });
    box.checked = model.get("marked").includes(id);
    box.onchange = () => {
      const others = model.get("marked").filter((each) => each !== id); // as it is now: two clicks may come in one turn
      set("marked", box.checked ? [...others, id] : others);
    };
    return element("td", {}, box);
  };

  const row = ({ id, name, cells, badge }) => {
    const chosen = model.get("chosen") === id;
    const choose = element("button", { type: "button", "data-focus": `choose ${id}`, "aria-pressed": String(chosen) }, name);
    choose.onclick = () => set("chosen", id);
    const columns = model.get("columns").slice(1);
    const rest = cells.map((text, at) => {
      const cell = element("td", { class: columns[at].right ? "right" : null, title: text.length > 24 ? text : null }, text);
      if (badge && columns[at].key === "status") cell.replaceChildren(element("span", { class: "badge", style: `background:${badge}` }, text));
      return cell;
    });
    const first = model.get("marks") ? [mark(id, name)] : [];
    const made = element("tr", { class: chosen ? "chosen" : null }, ...first, element("th", { scope: "row" }, choose), ...rest);
    made.onclick = (event) => {
      if (!event.target.closest("button, input") && !String(getSelection())) set("chosen", id);
    };
    return made;
  };

  const pager = () => {
    const [page, pages] = [model.get("page"), model.get("pages")];
    const turn = (label, target) => {
      const button = element("button", { type: "button", "data-focus": label, disabled: target < 0 || target >= pages }, label);
      button.onclick = () => set("page", target);
      return button;
    };
    const place = element("span", { role: "status" }, model.get("place"));
    if (pages < 2) return element("div", { class: "pager" }, place);
    return element("div", { class: "pager" }, turn("First page", page ? 0 : -1), turn("Previous page", page - 1), place, turn("Next page", page + 1));
  };

  const draw = () => {
    const focused = el.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    const left = el.querySelector(".scroll")?.scrollLeft ?? 0;
    const first = model.get("marks") ? [element("th", { scope: "col" }, "compare")] : [];
    const head = element("tr", {}, ...first, ...model.get("columns").map(heading));
    const table = element("table", { "aria-label": model.get("name") }, element("thead", {}, head), element("tbody", {}, ...model.get("rows").map(row)));
    const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `table of ${model.get("name")}` }, table);
    el.replaceChildren(scroll, pager());
    scroll.scrollLeft = left;
    if (focused) el.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  };

  el.classList.add("fpnkit-table");
  model.on("change:drawn", draw);
  draw();
  return () => model.off("change:drawn", draw);
}

export default { render };
