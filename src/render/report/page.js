(function () {
  "use strict";
  var root = document.documentElement;
  var all = function (query, from) { return Array.prototype.slice.call((from || document).querySelectorAll(query)); };
  document.getElementById("theme").addEventListener("click", function () {
    var dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  var filter = document.getElementById("filter");
  var rows = all("tbody tr").map(function (row) { return { row: row, text: row.textContent.toLowerCase() }; });
  var nodes = all(".node"), lines = all(".line"), map = document.querySelector("svg.map");
  function apply() {
    var words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach(function (one) {
      one.row.hidden = !words.every(function (word) { return one.text.indexOf(word) >= 0; });
    });
    all("table").forEach(function (table) {
      var hidden = table.tBodies[0].querySelectorAll("tr[hidden]").length, count = table.tBodies[0].rows.length;
      var note = table.parentNode.nextElementSibling;
      if (note && note.className === "left") { note.textContent = hidden ? (count - hidden) + " of " + count + " rows fit the filter" : ""; }
    });
    if (!map) { return; }
    map.classList.toggle("picking", words.length > 0);
    nodes.forEach(function (node) { node.classList.remove("on"); });
    lines.forEach(function (line) {
      var text = (line.dataset.from + " " + line.dataset.to).toLowerCase();
      var on = words.every(function (word) { return text.indexOf(word) >= 0; });
      line.classList.toggle("on", on);
      if (on) {
        nodes.forEach(function (node) {
          if (node.dataset.name === line.dataset.from || node.dataset.name === line.dataset.to) { node.classList.add("on"); }
        });
      }
    });
  }
  var timer;
  filter.addEventListener("input", function () { clearTimeout(timer); timer = setTimeout(apply, 80); });
  document.addEventListener("keydown", function (event) {
    if (event.key === "/" && document.activeElement !== filter) { event.preventDefault(); filter.focus(); }
    if (event.key === "Escape") { filter.value = ""; apply(); }
  });
  function pick(node) {
    var name = node.dataset.name.replace(/\/\*$/, "/");
    filter.value = filter.value === name ? "" : name;
    apply();
  }
  nodes.forEach(function (node) {
    node.addEventListener("click", function () { pick(node); });
    node.addEventListener("keydown", function (event) {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(node); }
    });
  });
  function value(cell) {
    var text = cell.textContent.trim();
    if (cell.className === "n") {
      var match = text.replace(/,/g, "").match(/^([\d.]+)\s*(ms|s|%)?/);
      if (!match) { return -1; }
      return parseFloat(match[1]) * (match[2] === "s" ? 1000 : 1);
    }
    return text.toLowerCase();
  }
  all("th button").forEach(function (button) {
    button.addEventListener("click", function () {
      var head = button.parentNode, table = head.closest("table"), at = head.cellIndex;
      var down = head.getAttribute("aria-sort") !== "descending";
      all("th", table).forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      var body = table.tBodies[0];
      var keyed = Array.prototype.map.call(body.rows, function (row) { return { row: row, key: value(row.cells[at]) }; });
      keyed.sort(function (a, b) { return (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) * (down ? -1 : 1); });
      keyed.forEach(function (one) { body.appendChild(one.row); });
    });
  });
})();
