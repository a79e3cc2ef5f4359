// A form with `data-rows` hides the rows of a table that are not what it says: its text is in none of
// their cells, or only changed ones are wanted and they are not.

for (const form of document.querySelectorAll("form[data-rows]")) {
  const table = document.getElementById(form.dataset.rows);
  const none = table.parentElement.querySelector(".none");

  const sift = () => {
    const text = form.elements.text.value.trim().toLowerCase();
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const isChanged = row.hasAttribute("data-changed") || !form.elements.changed.checked;
      row.hidden = !isChanged || !row.textContent.toLowerCase().includes(text);
      if (!row.hidden) shown += 1;
    }
    table.hidden = shown === 0;
    none.hidden = shown > 0;
  };

  form.addEventListener("input", sift);
  form.addEventListener("submit", (event) => event.preventDefault());
  // A browser may remember what stood there.
  sift();
}
