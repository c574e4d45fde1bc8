// The documentation page: Swagger UI over our own document, and a sign-in of our own that hands it the token.
// The session lives in this page only; reloading it signs out.
"use strict";

(async () => {
  const byId = (id) => document.getElementById(id);
  const status = byId("status");
  let ui = null;
  let session = null;
  let renewal = 0;

  function say(text, wrong = false) {
    status.textContent = text;
    status.classList.toggle("wrong", wrong);
  }

  async function post(path, body) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const content = await answer.json().catch(() => ({}));
    return { ok: answer.ok, content };
  }

  function show(signedIn) {
    for (const id of ["signed-out", "password-field", "submit"]) byId(id).hidden = signedIn;
    byId("sign-out").hidden = !signedIn;
    byId("code-field").hidden = true;
    byId("tenant-field").hidden = true;
    for (const id of ["email", "password"]) byId(id).disabled = signedIn;
  }

  function adopt(tokens, email) {
    session = { ...tokens, email };
    ui.preauthorizeApiKey("bearer", tokens.access_token);
    clearTimeout(renewal);
    renewal = setTimeout(renew, Math.max(5, tokens.expires_in - 60) * 1000);
    show(true);
    say(`Signed in as ${email}, ${tokens.tenant_name}`);
  }

  async function renew() {
    const { ok, content } = await post("/v1/sessions/refresh", { refresh_token: session.refresh_token });
    if (ok) adopt(content, session.email);
    else forget("The session has ended; sign in again.");
  }

  function forget(text) {
    clearTimeout(renewal);
    session = null;
    ui.authActions.logout(["bearer"]);
    show(false);
    say(text);
  }

  function chooseTenant(tenants) {
    const options = tenants.map((tenant) => new Option(tenant.name, tenant.id));
    byId("tenant").replaceChildren(...options);
    byId("tenant-field").hidden = false;
    say("Choose the company and sign in.");
  }

  async function signIn(event) {
    event.preventDefault();
    byId("submit").disabled = true;
    say("Signing in …");
    const email = byId("email").value.trim();
    const proof = { email, password: byId("password").value, device: "API documentation" };
    if (!byId("code-field").hidden && byId("code").value.trim()) proof.totp = byId("code").value.trim();
    if (!byId("tenant-field").hidden) proof.tenant_id = byId("tenant").value;
    try {
      const { ok, content } = await post("/v1/sessions", proof);
      if (ok && content.status === "choose_tenant") chooseTenant(content.tenants);
      else if (ok) {
        byId("password").value = byId("code").value = "";
        adopt(content, email);
      } else {
        if (content.code === "one_time_code_required") byId("code-field").hidden = false;
        say(content.detail || "Signing in failed.", true);
      }
    } catch {
      say("The server does not answer.", true);
    } finally {
      byId("submit").disabled = false;
    }
  }

  async function signOut() {
    const token = session.access_token;
    forget("Signed out.");
    await fetch("/v1/sessions/current", { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
  }

  const spec = await (await fetch("/openapi.json")).json();
  spec.servers = [{ url: location.origin }]; // the server that this page came from, whatever its name
  ui = SwaggerUIBundle({
    spec,
    dom_id: "#swagger",
    deepLinking: true,
    docExpansion: "none",
    displayRequestDuration: true,
    filter: true,
    persistAuthorization: false,
    validatorUrl: null,
    onComplete: () => document.body.setAttribute("data-ready", "true"),
  });
  byId("sign-in").addEventListener("submit", signIn);
  byId("sign-out").addEventListener("click", signOut);
})();
