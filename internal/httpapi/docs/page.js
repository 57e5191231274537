// Puts the viewer into the page with the reader's colours, and follows when they change.
"use strict";
const dark = matchMedia("(prefers-color-scheme: dark)");
const colours = () => dark.matches
  ? { theme: "dark", "bg-color": "#1b1a18", "text-color": "#e8e4dc", "nav-bg-color": "#141312", "primary-color": "#f0883e" }
  : { theme: "light", "bg-color": "#fdfcfa", "text-color": "#2a2723", "nav-bg-color": "#f4f0e8", "primary-color": "#b4490f" };
const apply = (viewer) => Object.entries(colours()).forEach(([name, value]) => viewer.setAttribute(name, value));

document.addEventListener("DOMContentLoaded", () => {
  const viewer = document.createElement("rapi-doc");
  const fixed = {
    "spec-url": "openapi.json",
    "load-fonts": "false",
    "regular-font": "system-ui, sans-serif",
    "mono-font": "ui-monospace, Menlo, Consolas, monospace",
    "font-size": "largest",
    "render-style": "read",
    "schema-style": "table",
    "default-schema-tab": "schema",
    "schema-description-expanded": "true",
    "show-header": "false",
    "show-method-in-nav-bar": "as-colored-text",
    "nav-item-spacing": "relaxed",
    "use-path-in-nav-bar": "true",
    "allow-authentication": "false",
    "allow-server-selection": "false",
    "allow-spec-file-download": "true",
  };
  Object.entries(fixed).forEach(([name, value]) => viewer.setAttribute(name, value));
  apply(viewer);
  dark.addEventListener("change", () => apply(viewer));
  document.body.append(viewer);
});
