// One image at a time: send it, draw what was found. The server is asked once with a low threshold; the slider and the
// classes only choose among its answers.

// Okabe and Ito's colours, told apart by most colour-blind people (jfly.uni-koeln.de/color), as in the drawings of
// `yolox predict`; the light ones are darkened for white text.
const COLORS = ["#0072b2", "#a56a00", "#00795a", "#c04f00", "#a8457f", "#2b7fb0", "#7d7200", "#6a3d9a"];
const LOWEST = 0.05; // score that the slider goes down to
const SVG = "http://www.w3.org/2000/svg";

const at = (id) => document.getElementById(id);
const state = { names: [], hidden: new Set(), answer: null, blob: null, stream: null, asked: 0 };

function color(name) {
  return COLORS[Math.max(0, state.names.indexOf(name)) % COLORS.length];
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// The server's answer, or an Error with its one line; asks for the token where one is wanted.
async function call(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer.");
  }
  const content = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  at("login").hidden = response.status !== 401;
  if (response.status === 401) at("token").focus();
  if (!response.ok) throw new Error(response.status === 401 && !token ? "" : content.error);
  return content;
}

function complain(error) {
  at("problem").textContent = error ? error.message : "";
  at("problem").hidden = !error || !error.message;
}

async function describe() {
  try {
    const model = await call("model");
    state.names = model.class_names;
    at("threshold").value = Math.max(LOWEST, model.confidence);
    title(model);
    at("about").textContent = `${count(model.class_names.length, "class", "classes")}, input ${model.input_size[1]} × ${model.input_size[0]} px.`;
    at("classes").replaceChildren(make("legend", { textContent: "Classes" }), ...model.class_names.map(choice));
    complain(null);
  } catch (error) {
    complain(error);
  }
}

function title(model) {
  const named = model.version ? `${model.name}, version ${model.version}` : model.name;
  at("name").textContent = model.name;
  at("model").textContent = `Model: ${named}`;
  document.title = model.name;
}

function choice(name) {
  const box = make("input", { type: "checkbox", checked: !state.hidden.has(name) });
  box.addEventListener("change", () => {
    box.checked ? state.hidden.delete(name) : state.hidden.add(name);
    draw();
  });
  const dot = make("span", { className: "dot" });
  dot.style.background = color(name);
  return make("label", {}, box, dot, name);
}

function count(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}

async function detect(blob, named) {
  state.blob = { blob, named };
  const asked = ++state.asked;
  const form = new FormData();
  form.append("image", blob, named);
  form.append("confidence", String(LOWEST));
  document.body.classList.add("busy");
  at("count").textContent = "Looking …";
  const shown = show(blob);
  try {
    const began = performance.now();
    const answer = await call("predict", { method: "POST", body: form });
    if (asked !== state.asked) return; // another image was chosen meanwhile
    await shown;
    state.answer = { ...answer, named, round_ms: performance.now() - began };
    title(answer.model);
    complain(null);
    at("results").hidden = false;
    document.querySelector("main").classList.add("found");
    draw();
  } catch (error) {
    if (asked !== state.asked) return;
    state.answer = null;
    at("figure").hidden = at("results").hidden = true;
    complain(error);
  } finally {
    if (asked === state.asked) document.body.classList.remove("busy");
  }
}

async function show(blob) {
  const image = at("image");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
  at("boxes").replaceChildren();
  at("caption").textContent = "";
  at("figure").hidden = false;
  await image.decode().catch(() => undefined); // the server says what is wrong with it
}

function draw() {
  if (!state.answer) return;
  const { image, detections, model, time_ms: time, named, round_ms: round } = state.answer;
  const least = Number(at("threshold").value);
  const found = detections.filter((one) => one.score >= least && !state.hidden.has(one.category_name));
  at("value").textContent = least.toFixed(2);
  at("count").textContent = found.length ? `${count(found.length, "object", "objects")}.` : "Nothing found.";
  at("image").alt = `${named}: ${found.map((one) => one.category_name).join(", ") || "nothing found"}`;
  const version = model.version ? `, version ${model.version}` : "";
  at("caption").textContent =
    `${named}, ${image.width} × ${image.height} px · ${model.name}${version} · network ${time.network.toFixed(0)} ms, ` +
    `server ${time.total.toFixed(0)} ms, with the way there and back ${round.toFixed(0)} ms`;
  at("boxes").setAttribute("viewBox", `0 0 ${image.width} ${image.height}`);
  const scale = image.width / Math.max(1, at("image").clientWidth); // image pixels per pixel of the screen
  const boxes = found.map((one) => box(one, image, scale));
  at("boxes").replaceChildren(...[...boxes].reverse()); // the best on top
  at("rows").replaceChildren(...found.map((one, index) => row(one, boxes[index].firstChild)));
}

function box(one, image, scale) {
  const [x, y, width, height] = one.bbox;
  const text = `${one.category_name} ${one.score.toFixed(2)}`;
  const size = 13 * scale;
  const room = (text.length * 0.62 + 0.8) * size;
  const top = y > 1.5 * size ? y - 1.5 * size : y;
  const left = Math.max(0, Math.min(x, image.width - room)); // within the image
  const frame = draws("rect", { x, y, width, height, stroke: color(one.category_name) });
  const plate = draws("rect", { x: left, y: top, width: room, height: 1.5 * size });
  plate.style.fill = color(one.category_name);
  const label = draws("text", { x: left + 0.4 * size, y: top + 1.1 * size, "font-size": size, class: "label" });
  label.textContent = text;
  const group = draws("g", {});
  group.append(frame, plate, label);
  return group;
}

function draws(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function row(one, frame) {
  const dot = make("span", { className: "dot" });
  dot.style.background = color(one.category_name);
  const line = make(
    "tr",
    { tabIndex: 0 },
    make("th", { scope: "row" }, dot, ` ${one.category_name}`),
    make("td", { className: "number", textContent: one.score.toFixed(2) }),
    make("td", { className: "number", textContent: one.bbox.map((side) => Math.round(side)).join(", ") }),
  );
  const mark = (chosen) => () => frame.classList.toggle("chosen", chosen);
  for (const event of ["mouseenter", "focus"]) line.addEventListener(event, mark(true));
  for (const event of ["mouseleave", "blur"]) line.addEventListener(event, mark(false));
  return line;
}

async function openCamera() {
  try {
    state.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (refused) {
    complain(new Error(`No camera: ${refused.message || refused.name}.`));
    return;
  }
  at("video").srcObject = state.stream;
  at("live").hidden = false;
  at("shoot").focus();
  complain(null);
}

function closeCamera() {
  for (const track of state.stream ? state.stream.getTracks() : []) track.stop();
  state.stream = null;
  at("live").hidden = true;
  at("camera").focus();
}

async function shoot() {
  const video = at("video");
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  closeCamera();
  await detect(blob, "camera.jpg");
}

function take(files) {
  const file = [...(files || [])][0];
  if (file) detect(file, file.name || "pasted image");
}

at("file").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = ""; // the same file may be chosen again
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => take(event.clipboardData.files));
at("camera").addEventListener("click", openCamera);
at("camera").hidden = !navigator.mediaDevices; // browsers give the camera to https and localhost alone
at("shoot").addEventListener("click", shoot);
at("leave").addEventListener("click", closeCamera);
at("threshold").addEventListener("input", draw);
new ResizeObserver(draw).observe(at("image"));
at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value);
  await describe();
  if (state.blob) await detect(state.blob.blob, state.blob.named);
});
await describe();
