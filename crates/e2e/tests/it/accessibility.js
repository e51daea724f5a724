// What is wrong with the page for who sees badly, or not at all, or uses no mouse: WCAG 2.2, level AA,
// as far as a program can tell. Evaluates to a list of texts.
(() => {
  "use strict";
  const findings = new Set();
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (element) => {
    const id = element.id ? `#${element.id}` : "";
    const kind = element.getAttribute("class") ? `.${element.getAttribute("class").replace(/ /g, ".")}` : "";
    const text = element.textContent.trim().replace(/\s+/g, " ").slice(0, 30);
    return `${element.tagName.toLowerCase()}${id}${kind} "${text}"`;
  };
  const find = (rule, element, what = "") => findings.add(`${rule}: ${name(element)} ${what}`.trim());
  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && !element.closest(".hidden, .skip:not(:focus)");

  // 2.4.2, 3.1.1: title and language.
  if (!document.title.trim()) findings.add("title: none");
  if (!document.documentElement.lang) findings.add("language: none");

  // 1.3.1, 2.4.1: landmarks, one of each, and nothing outside of them.
  for (const landmark of ["main", "body > header", "nav", "body > footer"]) {
    const count = all(landmark).length;
    if (count !== 1) findings.add(`landmark: ${count} of ${landmark}`);
  }
  for (const element of document.body.children) {
    const isLandmark = element.matches("header, nav, main, footer, script, .skip, [role=status]");
    if (!isLandmark && isShown(element) && element.textContent.trim()) find("outside of landmarks", element);
  }
  const skip = document.querySelector("a.skip");
  if (!skip || !document.querySelector(skip.getAttribute("href"))) findings.add("skip link: leads nowhere");

  // 1.3.1, 2.4.6: one first heading, and no level left out below it.
  const headings = all("h1, h2, h3, h4, h5, h6").filter((heading) => heading.checkVisibility());
  const levels = headings.map((heading) => Number(heading.tagName[1]));
  if (levels[0] !== 1 || levels.filter((level) => level === 1).length !== 1) findings.add(`headings: ${levels}`);
  levels.forEach((level, place) => {
    if (place > 0 && level > levels[place - 1] + 1) find("heading skips a level", headings[place]);
    if (!headings[place].textContent.trim()) find("heading says nothing", headings[place]);
  });

  // 4.1.2, 1.1.1, 3.3.2: a name for whatever can be used or means something.
  const labelled = (element) => {
    const by = element.getAttribute("aria-labelledby");
    if (by) return by.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
    return (element.getAttribute("aria-label") ?? "").trim();
  };
  for (const element of all("a, button, summary")) {
    const images = [...element.querySelectorAll("img")].map((image) => image.alt).join("");
    if (!(labelled(element) || element.textContent.trim() || images)) find("no name", element);
  }
  for (const field of all("input:not([type=hidden]), select, textarea")) {
    if (!labelled(field) && !field.labels.length) find("no label", field, field.name);
  }
  for (const image of all("img")) if (!image.hasAttribute("alt")) find("no text instead", image);
  for (const picture of all("svg")) {
    if (!labelled(picture) && picture.getAttribute("aria-hidden") !== "true") find("no name", picture);
  }
  for (const region of all("[tabindex='0'], section[aria-labelledby], section[aria-label], nav")) {
    const isPicture = region.closest("svg");
    if (!isPicture && !labelled(region)) find("no name", region);
    if (region.matches("[tabindex='0']") && !region.getAttribute("role")) find("no role", region);
  }
  for (const element of all("[tabindex]")) if (element.tabIndex > 0) find("order of its own", element);

  // 4.1.1: references that lead somewhere.
  const ids = all("[id]").map((element) => element.id);
  ids.filter((id, place) => ids.indexOf(id) !== place).forEach((id) => findings.add(`id twice: ${id}`));

  // 1.3.1: tables say what their columns are.
  for (const table of all("table")) {
    const heads = [...table.querySelectorAll("thead th")];
    if (!heads.length) find("table without heads", table);
    if (heads.some((head) => head.scope !== "col" || !head.textContent.trim())) find("head without scope or text", table);
    const widths = [...table.querySelectorAll("tbody tr")].map((row) => [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0));
    if (widths.some((width) => width !== heads.length)) find("row of another width than the heads", table);
  }
  for (const list of all("dl")) if (!list.querySelector("dt + dd")) find("list without pairs", list);

  // 1.4.3, 1.4.11: contrast.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.canvas.width = canvas.canvas.height = 1;
  // As the browser paints it, whatever notation it is in: red, green, blue up to 255, and opacity.
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, below) => {
    const mixed = [0, 1, 2].map((part) => top[part] * top[3] + below[part] * (1 - top[3]));
    return [...mixed, 1];
  };
  const light = ([red, green, blue]) => {
    const linear = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const page = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  const behind = (element) => {
    if (!element) return page;
    const below = behind(element.parentElement);
    const box = element.matches("svg a") ? element.querySelector(".box") : null;
    const own = box ? getComputedStyle(box).fill : getComputedStyle(element).backgroundColor;
    return over(colour(own), below);
  };
  const check = (rule, element, paint, ground, least) => {
    const ratio = contrast(over(colour(paint), ground), ground);
    if (ratio < least) find(rule, element, `${paint} on ${ground.slice(0, 3).map(Math.round)} is ${ratio.toFixed(2)}, not ${least}`);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || element.matches("script, title, option") || !isShown(element)) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const paint = element.closest("svg") ? style.fill : style.color;
    check("contrast of text", element, paint, behind(element), isLarge ? 3 : 4.5);
  }
  for (const field of all("input:not([type=hidden]), select, textarea")) {
    if (!isShown(field)) continue;
    check("contrast of a border", field, getComputedStyle(field).borderTopColor, behind(field.parentElement), 3);
    if (field.placeholder) check("contrast of a placeholder", field, getComputedStyle(field, "::placeholder").color, behind(field), 4.5);
  }
  for (const shape of all("svg .link, svg .box, svg .dot, svg polyline")) {
    const style = getComputedStyle(shape);
    const paint = style.stroke === "none" ? style.fill : style.stroke;
    const ground = shape.matches(".dot") ? behind(shape.parentElement) : behind(shape.closest("svg").parentElement);
    check("contrast of a shape", shape, paint, ground, 3);
  }

  // 1.4.1: a link within a text is told from it by more than its colour.
  for (const link of all("p a, dd a, footer a, td a")) {
    if (!isShown(link)) continue;
    const around = [...link.parentElement.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const isWithin = around.some((node) => /\p{L}{2}/u.test(node.data));
    if (isWithin && !getComputedStyle(link).textDecorationLine.includes("underline")) find("link told by colour only", link);
  }

  // 1.4.10: nothing is wider than the window but tables and pictures, which scroll by themselves.
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) {
    findings.add(`wider than the window: ${document.documentElement.scrollWidth} of ${width}`);
    for (const element of all("main *")) {
      if (!element.closest(".scroll, svg") && element.getBoundingClientRect().right > width + 1) find("sticks out", element);
    }
  }
  for (const box of all(".scroll")) {
    if (box.scrollWidth > box.clientWidth && box.tabIndex !== 0) find("scrolls for the mouse only", box);
  }

  // 2.5.8: large enough to be hit; links within a text or a table are as large as it.
  for (const element of all("button, input:not([type=hidden]), select, textarea, nav a, summary, .brand, .pager a")) {
    if (!isShown(element)) continue;
    const box = element.getBoundingClientRect();
    if (box.width < 24 || box.height < 24) find("too small to hit", element, `${box.width.toFixed()}x${box.height.toFixed()}`);
  }

  // 2.4.7: where the keyboard is.
  const before = document.activeElement;
  for (const element of all("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")) {
    if (!element.checkVisibility()) continue;
    element.focus({ preventScroll: true });
    if (document.activeElement !== element) continue;
    const style = getComputedStyle(element);
    if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1) find("focus is not seen", element);
  }
  document.activeElement.blur();
  before?.focus?.({ preventScroll: true });
  return [...findings];
})()
