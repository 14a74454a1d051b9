// Shows openapi.json of the same server, in the reader's colours, and keeps the API key over a reload.
"use strict";

const darkMode = matchMedia("(prefers-color-scheme: dark)");
function followColours() {
  document.documentElement.classList.toggle("dark-mode", darkMode.matches);
}
followColours();
darkMode.addEventListener("change", followColours);

// Session storage belongs to one tab and ends with it; local storage would leave the key on the disk.
// A browser may forbid both: the key then lasts until the next reload.
const KEY = "mercurio-api-key";
function storedKey() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}
function storeKey(key) {
  try {
    sessionStorage.setItem(KEY, key);
  } catch {}
}
function forgetKey() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {}
}

// Wraps the viewer's actions behind its button "Authorize".
const keepKey = {
  statePlugins: {
    auth: {
      wrapActions: {
        authorize: (authorize) => (schemes) => {
          const { bearer } = schemes;
          // A key copied together with its scheme.
          const key = bearer.value.trim().replace(/^Bearer +/i, "");
          storeKey(key);
          return authorize({ bearer: { ...bearer, value: key } });
        },
        logout: (logout) => (schemes) => {
          forgetKey();
          return logout(schemes);
        },
      },
    },
  },
};

const viewer = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  plugins: [keepKey],
  onComplete: () => {
    const key = storedKey();
    if (key) viewer.preauthorizeApiKey("bearer", key);
  },
  // The viewer would use local storage.
  persistAuthorization: false,
  // It would send the document elsewhere.
  validatorUrl: null,
  deepLinking: true,
  docExpansion: "list",
  defaultModelRendering: "example",
  defaultModelExpandDepth: 2,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
});
