// What the theme lacks for people without a mouse: a name of its search dialog, and a focus for what scrolls.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search")

addEventListener("load", () => {
  const reach = () => {
    for (const region of document.querySelectorAll(".md-typeset pre > code, .md-typeset__scrollwrap")) region.tabIndex = 0
  }
  reach()
  new MutationObserver(reach).observe(document.querySelector(".md-content"), { childList: true, subtree: true })
})
