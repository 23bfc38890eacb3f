// Makes the headers of sortable tables into buttons; without it they are plain tables.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headers.forEach((header, column) => {
    if (!header.dataset.first) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const opposite = { ascending: "descending", descending: "ascending" };
      const order = opposite[header.getAttribute("aria-sort")] ?? header.dataset.first;
      const sign = order === "ascending" ? 1 : -1;
      const key = (row) => row.cells[column].dataset.value;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what is missing comes last
        const [p, q] = [Number(x), Number(y)];
        if (Number.isNaN(p) || Number.isNaN(q)) return sign * x.localeCompare(y);
        return p === q ? 0 : sign * (p < q ? -1 : 1);
      });
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", order);
      body.append(...rows);
    });
  });
}
