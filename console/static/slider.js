// Says beside a slider where it stands. Without this the page says so once it comes back.
(function () {
  "use strict";
  document.querySelectorAll("input[data-shown]").forEach(function (slider) {
    var shown = document.getElementById(slider.dataset.shown);
    slider.addEventListener("input", function () { shown.textContent = slider.value; });
  });
})();
