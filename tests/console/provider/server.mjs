// An OpenID Connect provider on 127.0.0.1 for tests: `node server.mjs`, with clients and users as JSON in SETUP.
// It takes a free port, says its issuer as JSON in its first line, and ends when its standard input does.
// Who signs in is asked by a plain form (field "login"); "cancel" declines. Consent is taken for granted.
import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const { clients, users, claimsInIdToken } = JSON.parse(process.env.SETUP);

function privateKey(type, options, more) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }), use: "sig", ...more };
}

const configuration = {
  clients,
  claims: { openid: ["sub"], profile: ["name", "preferred_username"], roles: ["roles"] },
  conformIdTokenClaims: !claimsInIdToken,
  cookies: { keys: ["only for tests"] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  jwks: { keys: [privateKey("rsa", { modulusLength: 2048 }, { kid: "first", alg: "RS256" })] },
  pkce: { required: () => true },
  responseTypes: ["code"],
  ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600 },

  findAccount(_, id) {
    return users[id] && { accountId: id, claims: () => ({ sub: id, ...users[id] }) };
  },

  async loadExistingGrant({ oidc }) {
    const known = oidc.session.grantIdFor(oidc.client.clientId);
    const kept = known && (await oidc.provider.Grant.find(known));
    if (kept) return kept;
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid profile roles");
    await grant.save();
    return grant;
  },
};

const escaped = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.codePointAt(0)};`);

const form = (title, names) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<h1>${title}</h1><form method="post">
<label>Account <input name="login" list="accounts" required></label>
<datalist id="accounts">${names.map((name) => `<option value="${escaped(name)}">`).join("")}</datalist>
<button>Sign in</button> <button name="cancel" value="1" formnovalidate>Cancel</button></form></html>`;

async function interaction(provider, request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  if (request.method === "GET") {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(form(`Test provider: ${prompt.name}`, Object.keys(users)));
    return;
  }
  const sent = [];
  for await (const piece of request) sent.push(piece);
  const fields = new URLSearchParams(Buffer.concat(sent).toString());
  const result = fields.get("cancel")
    ? { error: "access_denied", error_description: "End-User aborted interaction" }
    : { login: { accountId: fields.get("login") } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

// Consoles under test listen on any port of this machine; their paths must be those that are registered.
function onAnyPort(registered) {
  return function allowed(uri) {
    const asked = new URL(uri);
    return this[registered].some((one) => {
      const known = new URL(one);
      return asked.hostname === known.hostname && asked.pathname === known.pathname && !asked.search;
    });
  };
}

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  provider.Client.prototype.redirectUriAllowed = onAnyPort("redirectUris");
  provider.Client.prototype.postLogoutRedirectUriAllowed = onAnyPort("postLogoutRedirectUris");
  const answer = provider.callback();
  server.on("request", (request, response) => {
    if (!request.url.startsWith("/interaction/")) return answer(request, response);
    return interaction(provider, request, response).catch((error) => {
      response.statusCode = 400;
      response.end(String(error));
    });
  });
  console.log(JSON.stringify({ issuer }));
});

process.stdin.resume().on("end", () => process.exit(0));
