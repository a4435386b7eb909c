const table = document.getElementById("fleet"), body = table.tBodies[0], rows = [...body.rows];
const heads = [...table.tHead.rows[0].cells];
const wanted = document.getElementById("find"), found = document.getElementById("found");

const search = () => {
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const row of rows) {
    row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
    left += row.hidden ? 0 : 1;
  }
  found.textContent = `${left} of ${rows.length} attributes`;
};

const sort = (head, column) => {
  const numeric = head.dataset.kind === "number";
  const up = head.getAttribute("aria-sort") !== "ascending";
  const key = row => row.cells[column].dataset.key;
  rows.sort((a, b) => {
    const left = key(a), right = key(b);
    if (left === "" || right === "") return (left === "") - (right === "");
    return (up ? 1 : -1) * (numeric ? left - right : left.localeCompare(right, undefined, {numeric: true}));
  });
  body.append(...rows);
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
};

heads.forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  button.addEventListener("click", () => sort(head, column));
  head.append(button);
});
wanted.addEventListener("input", search);
document.getElementById("tools").hidden = false;
search();
