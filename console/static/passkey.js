// Asks the browser for a passkey, and sends what it answers with the form. The server decides what that proves.
(function () {
  "use strict";
  document.querySelectorAll("form[data-passkey]").forEach(function (form) {
    var says = form.querySelector("[data-says]");
    if (!window.PublicKeyCredential || !PublicKeyCredential.parseRequestOptionsFromJSON) {
      says.textContent = "This browser has no passkeys.";
      return;
    }
    form.querySelector("button").disabled = false;
    form.addEventListener("submit", function (event) {
      if (form.elements.answer.value) return;
      event.preventDefault();
      says.textContent = "Waiting for your passkey …";
      fetch(form.dataset.passkey, { method: "POST", credentials: "same-origin", body: new URLSearchParams(new FormData(form)) }).then(function (begun) {
        return begun.json();
      }).then(function (begun) {
        if (!begun.id) throw new Error(begun.sentence);
        form.elements.id.value = begun.id;
        if (form.dataset.makes) {
          return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(begun.options.publicKey) });
        }
        return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(begun.options.publicKey) });
      }).then(function (passkey) {
        form.elements.answer.value = JSON.stringify(passkey.toJSON());
        form.submit();
      }).catch(function (why) {
        says.textContent = why.name === "NotAllowedError" ? "The passkey was not used. Try again." : why.message || "This did not work. Try again.";
      });
    });
  });
})();
