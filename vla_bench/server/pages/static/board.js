// Comforts only: every page works without this file.
"use strict";

// Buttons that copy what stands in an element, shown only where the browser can.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source ? source.textContent.trim() : location.href);
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  });
}

// A choice in a filter applies at once; the button stays for keyboards and for those without scripts.
for (const select of document.querySelectorAll("form.filters select[data-now]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

// Empty filters are left out of the address, so that links stay short.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("submit", () => {
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
    setTimeout(() => { for (const field of form.elements) field.disabled = false; });
  });
}
