// Exchanges the part of a page that changes, as the server renders it. Without this the page is as it was when it was loaded. A page that nobody sees
// holds no connection, of which a browser has six; one that cannot follow any more says so, and one whose log-in is over leads to the next one.
(function () {
  "use strict";
  var live = document.getElementById("live"), stale = document.getElementById("stale");
  if (!live || !stale || !window.EventSource) return;
  var source = null, due = false, busy = false, ended = false;
  function close() {
    if (source) source.close();
    source = null;
  }
  function end() {
    ended = true;
    close();
    stale.hidden = false;
  }
  // Nothing is taken from under somebody's hands or eyes.
  function used() { return document.hidden || live.contains(document.activeElement) || live.querySelector("details[open]"); }
  function renew(surely) {
    if (busy || ended || !surely && (!due || used())) return;
    busy = true;
    due = false;
    fetch(live.dataset.part, { credentials: "same-origin", redirect: "manual" }).then(function (answer) {
      if (answer.type === "opaqueredirect") {
        ended = true;
        close();
        location.reload();
        return;
      }
      if (!answer.ok) throw new Error("over");
      return answer.text().then(function (text) { live.innerHTML = text; });
    }).catch(end).finally(function () {
      busy = false;
      renew(false);
    });
  }
  function follow() {
    if (source || ended || document.hidden) return;
    source = new EventSource(live.dataset.stream);
    source.onmessage = function (event) {
      live.dataset.stream = live.dataset.stream.replace(/after=.*/, "after=" + encodeURIComponent(event.data));
      due = true;
      renew(false);
    };
    source.addEventListener("over", function (event) {
      close();
      if (event.data === "log in") { location.reload(); } else { end(); }
    });
    source.onerror = function () {
      if (!source || source.readyState !== EventSource.CLOSED) return; // else the browser asks anew
      close();
      renew(true);
      stale.hidden = false;
    };
  }
  document.addEventListener("visibilitychange", function () {
    if (document.hidden) { close(); } else { follow(); renew(false); }
  });
  live.addEventListener("focusout", function () { setTimeout(renew, 0, false); });
  live.addEventListener("toggle", function () { renew(false); }, true);
  follow();
})();
