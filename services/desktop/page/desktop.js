import RFB from "/novnc/core/rfb.js";

const state = document.getElementById("state");
const display = document.getElementById("display");

function connect() {
  display.replaceChildren();
  state.textContent = "connecting";
  const seen = new RFB(display, `wss://${location.host}/session`);
  seen.resizeSession = true;
  seen.scaleViewport = true;
  seen.addEventListener("connect", () => { state.textContent = "connected"; seen.focus(); });
  seen.addEventListener("disconnect", () => {
    const again = document.createElement("button");
    again.textContent = "Connect again";
    again.addEventListener("click", connect);
    state.replaceChildren("the display is not there ", again);
  });
}

connect();
