(() => {
  "use strict";
  const all = (query) => document.querySelectorAll(query);
  const said = document.getElementById("said");
  for (const time of all("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
  const copy = async (code) => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(code);
      return document.execCommand("copy");
    }
  };
  for (const line of all(".copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${line.dataset.what}`);
    button.addEventListener("click", async () => {
      const done = await copy(line.firstElementChild);
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      said.textContent = done ? `Copied ${line.dataset.what}` : "";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
    line.append(button);
  }
  const field = document.querySelector("input[data-filter]");
  const rows = field ? [...all("table tbody tr")] : [];
  field?.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    said.textContent = `${shown} of ${rows.length} on this page`;
  });
})();
