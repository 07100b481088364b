// The slide: a pyramid of tiles, an overlay of the same frame, a mark at the patch that is looked at.
import { leaflet as L } from "/leaflet.js";
import { byId } from "/api.js";

const TILE = 256;
const SEAM = 0.5; // px by which tiles overlap, so that none shows between them where they are scaled
const AROUND = 4; // a patch that is gone to fills a quarter of the window

function sized({ tile }) { // those at the edges are smaller
  tile.style.width = `${tile.naturalWidth + SEAM}px`;
  tile.style.height = `${tile.naturalHeight + SEAM}px`;
}

export class SlideView {
  constructor(element, changed, clicked) {
    this.map = L.map(element, {
      crs: L.CRS.Simple, attributionControl: false, zoomControl: false, keyboard: false, zoomSnap: 0.25, zoomDelta: 1,
      wheelPxPerZoomLevel: 90, maxBoundsViscosity: 0.6, fadeAnimation: false, inertia: true,
    });
    this.map.on("moveend zoomend resize", () => { this.drawScale(); changed(); });
    this.map.on("click", (event) => { const at = this.px0(event.latlng); if (this.inside(at)) clicked(at); });
    this.overlays = []; // the last one, and those that it takes the place of
    this.overlay = null;
    this.mark = null;
  }

  show(image, where) {
    this.tissue?.remove();
    this.unmark();
    this.unpaint();
    this.image = image;
    this.one = 2 ** image.deepest; // level-0 px per unit of the map
    const bounds = L.latLngBounds(this.latLng(0, image.height), this.latLng(image.width, 0));
    const window_ = this.map.getSize();
    const fit = Math.log2(Math.min(window_.x / image.width, window_.y / image.height)) + image.deepest;
    this.map.setMinZoom(Math.min(0, Math.floor(fit)) - 1);
    this.map.setMaxZoom(image.deepest + 3);
    this.map.setMaxBounds(bounds.pad(0.5));
    if (where) this.map.setView(this.latLng(where.x, where.y), where.z + image.deepest, { animate: false });
    else this.map.setView(bounds.getCenter(), Math.floor(fit * 4 - 0.2) / 4, { animate: false });
    const tiles = L.tileLayer(`/tiles/${image.id}/{z}/{x}/{y}.jpg`, { ...this.layer(bounds), className: "tissue" });
    tiles.on("tileload", sized);
    this.tissue = tiles.addTo(this.map);
    this.bounds = bounds;
    this.drawScale();
  }

  layer(bounds) {
    const image = this.image;
    return { bounds, tileSize: TILE, minNativeZoom: 0, maxNativeZoom: image.deepest, minZoom: -9,
      maxZoom: image.deepest + 3, noWrap: true, keepBuffer: 3, updateWhenZooming: false };
  }

  paint(key, { threshold, colours, opacity, drawn }) {
    const how = drawn ? `colours=${colours}&drawn` : `threshold=${threshold}&colours=${colours}`;
    const address = `/maps/${this.image.id}/${key}/{z}/{x}/{y}.png?${how}`;
    if (this.overlay?._url !== address) {
      const before = this.overlays;
      const clear = () => before.forEach((one) => one.remove()); // only when the new one is there: no flicker
      this.overlay = L.tileLayer(address, { ...this.layer(this.bounds), className: "map", zIndex: 5 });
      this.overlay.on("tileload", sized);
      this.overlay.once("load", clear);
      this.overlays = [...before.filter((one) => this.map.hasLayer(one)), this.overlay.addTo(this.map)];
    }
    this.overlay.setOpacity(opacity);
  }

  unpaint() {
    for (const one of this.overlays) one.remove();
    this.overlays = [];
    this.overlay = null;
  }

  marked(x, y, extent) {
    this.unmark();
    const bounds = L.latLngBounds(this.latLng(x, y), this.latLng(x + extent, y + extent));
    this.mark = L.rectangle(bounds, { className: "mark", weight: 3, fill: false, interactive: false }).addTo(this.map);
  }

  unmark() {
    this.mark?.remove();
    this.mark = null;
  }

  go(x, y, extent) {
    const side = Math.min(this.map.getSize().x, this.map.getSize().y) / AROUND;
    const zoom = Math.max(this.map.getZoom(), Math.log2(side / extent) + this.image.deepest);
    this.map.setView(this.latLng(x + extent / 2, y + extent / 2), zoom, { animate: false });
  }

  where() {
    const at = this.px0(this.map.getCenter());
    return { x: at.x, y: at.y, z: this.map.getZoom() - this.image.deepest };
  }

  zoom(by) { this.map.setZoom(this.map.getZoom() + by); }
  pan(x, y) { this.map.panBy([x, y]); }
  latLng(x, y) { return L.latLng(-y / this.one, x / this.one); }
  px0(latLng) { return { x: latLng.lng * this.one, y: -latLng.lat * this.one }; }
  inside({ x, y }) { return x >= 0 && y >= 0 && x < this.image.width && y < this.image.height; }

  drawScale() {
    if (!this.image) return;
    const px = 2 ** (this.image.deepest - this.map.getZoom()); // level-0 px a px of the screen
    const unit = px * (this.image.mpp ?? 1);
    const most = 140 * unit;
    const ten = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((times) => times * ten).find((one) => one <= most);
    const text = this.image.mpp === null ? `${length} px` : length >= 1000 ? `${length / 1000} mm` : `${length} µm`;
    const bar = byId("scale");
    bar.lastElementChild.style.width = `${length / unit}px`;
    bar.firstElementChild.textContent = text;
  }
}
