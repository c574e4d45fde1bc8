(function (config) {
  "use strict";
  var script = document.currentScript;
  var shown = Date.now();
  var names = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];
  var memory = "rapport.first_touch";
  var ids = "rapport-" + config.key.slice(-8) + "-";

  function visit() {
    var query = new URLSearchParams(location.search);
    var found = { landing_page: location.href.slice(0, 2048) };
    if (document.referrer) found.referrer = document.referrer.slice(0, 2048);
    names.forEach(function (name) {
      if (query.get(name)) found[name] = query.get(name).slice(0, 200);
    });
    return found;
  }

  function firstTouch(latest) {
    try {
      var kept = JSON.parse(localStorage.getItem(memory) || "null");
      if (kept && typeof kept === "object") return kept;
      localStorage.setItem(memory, JSON.stringify(latest));
    } catch (refused) { /* no storage: this visit is the first that is known */ }
    return latest;
  }

  function element(tag, attributes, text) {
    var made = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) {
      if (attributes[name] !== null) made.setAttribute(name, attributes[name]);
    });
    if (text) made.textContent = text;
    return made;
  }

  function token() {
    var bytes = new Uint8Array(16);
    crypto.getRandomValues(bytes);
    return Array.from(bytes, function (byte) { return ("0" + byte.toString(16)).slice(-2); }).join("");
  }

  function row(field) {
    var id = ids + field.name, input;
    if (field.kind === "select") {
      input = element("select", { id: id, name: field.name });
      input.appendChild(element("option", { value: "" }, config.texts.choose));
      field.options.forEach(function (option) {
        input.appendChild(element("option", { value: option.value }, option.label));
      });
    } else if (field.kind === "textarea") {
      input = element("textarea", { id: id, name: field.name, rows: 5 });
    } else {
      input = element("input", { id: id, name: field.name, type: field.kind });
    }
    if (field.placeholder) input.setAttribute("placeholder", field.placeholder);
    if (field.required) input.required = true;
    if (field.value && field.kind !== "checkbox") input.value = field.value;
    var label = element("label", { "for": id }, field.label + (field.required ? " (" + config.texts.required + ")" : ""));
    var line = element("p", { "class": "rapport-field" });
    (field.kind === "checkbox" ? [input, label] : [label, input]).forEach(function (part) { line.appendChild(part); });
    line.appendChild(element("span", { "class": "rapport-error", id: id + "-error" }));
    return line;
  }

  var latest = visit();
  var first = firstTouch(latest);
  var form = element("form", { "class": "rapport-form", novalidate: "" });
  var said = element("p", { "class": "rapport-message", role: "status" });
  config.fields.forEach(function (field) { form.appendChild(row(field)); });
  var trap = element("input", { name: config.honeypot, tabindex: "-1", autocomplete: "off", "aria-hidden": "true" });
  trap.style.cssText = "position:absolute;left:-9999px;width:1px;height:1px";
  form.appendChild(trap);
  var button = element("button", { type: "submit" }, config.texts.send);
  form.appendChild(button);
  form.appendChild(said);
  var key = token();

  function tell(errors) {
    var focused = false;
    config.fields.forEach(function (field) {
      var input = document.getElementById(ids + field.name), place = document.getElementById(ids + field.name + "-error");
      var found = errors.filter(function (error) { return error.pointer === "/" + field.name; })[0];
      place.textContent = found ? config.messages[found.code] || config.messages.invalid : "";
      if (found) {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", place.id);
        if (!focused) { input.focus(); focused = true; }
      } else {
        input.removeAttribute("aria-invalid");
        input.removeAttribute("aria-describedby");
      }
    });
  }

  form.addEventListener("submit", function (event) {
    event.preventDefault();
    var body = Object.assign({}, latest, {
      token: key, language: config.language, seconds: (Date.now() - shown) / 1000, first_touch: first
    });
    config.fields.forEach(function (field) {
      var input = document.getElementById(ids + field.name);
      var value = field.kind === "checkbox" ? input.checked : input.value;
      if (value !== "" && value !== false) body[field.name] = value;
    });
    if (trap.value) body[config.honeypot] = trap.value;
    button.disabled = true;
    said.textContent = "";
    fetch(config.endpoint, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), credentials: "omit"
    }).then(function (answer) {
      return answer.json().then(function (found) {
        if (answer.ok) {
          if (found.redirect_url) { location.assign(found.redirect_url); return; }
          form.replaceChildren(said);
          said.textContent = found.message;
          return;
        }
        button.disabled = false;
        tell(found.errors || []);
        said.textContent = answer.status === 429 ? config.texts.too_many : answer.status === 422 ? "" : config.texts.failed;
      });
    }).catch(function () {
      button.disabled = false;
      said.textContent = config.texts.failed;
    });
  });

  function show() {
    var place = document.querySelector('[data-rapport-form="' + config.key + '"]');
    if (place) place.appendChild(form);
    else if (script && document.body.contains(script)) script.parentNode.insertBefore(form, script);
    else document.body.appendChild(form);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
  else show();
})
