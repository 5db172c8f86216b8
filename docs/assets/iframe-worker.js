// Browsers start no worker for a page that is read from disk, and the search of this site is one.
// Here the worker's script runs in a hidden frame instead. On a server this file does nothing.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.title = "search"
      document.body.append(frame)
      const inside = frame.contentWindow
      const load = (url) => new Promise((done, failed) => {
        const script = inside.document.createElement("script")
        script.src = url
        script.onload = done
        script.onerror = failed
        inside.document.head.append(script)
      })
      inside.importScripts = (...urls) => urls.reduce((before, url) => before.then(() => load(url)), Promise.resolve())
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      this.receive = (data) => inside.dispatchEvent(new MessageEvent("message", { data }))
      this.ready = load(new URL(address, document.baseURI).href)
    }

    postMessage(data) {
      this.ready.then(() => this.receive(data))
    }

    terminate() {}
  }
}
