// Exchanges the part of a page that changes, as the server renders it. Without this the page is as it was when it was loaded.
(function () {
  "use strict";
  var live = document.getElementById("live");
  if (!live || !window.EventSource) return;
  var busy = false;
  var source = new EventSource(live.dataset.stream);
  source.onmessage = function () {
    // Nothing is taken from under somebody's hands or eyes.
    if (busy || document.hidden || live.contains(document.activeElement) || live.querySelector("details[open]")) return;
    busy = true;
    fetch(live.dataset.part, { credentials: "same-origin", redirect: "manual" }).then(function (answer) {
      if (!answer.ok) throw new Error("over");
      return answer.text();
    }).then(function (text) {
      live.innerHTML = text;
    }).catch(function () {
      source.close();
    }).finally(function () {
      busy = false;
    });
  };
  source.addEventListener("over", function () { source.close(); });
})();
