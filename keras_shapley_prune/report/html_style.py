"""The style of the HTML report: for phones first, light and dark."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f5f1; --card: #ffffff; --ink: #1d2329; --soft: #5b6670;
  --line: #e2e0d8; --was: #d9dcde; --kept: #17658f; --removed: #b5482f;
  --good: #1f7a4d; --bad: #b5482f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181c; --card: #1d2329; --ink: #e9ebec; --soft: #a3adb5;
    --line: #333b43; --was: #3d464e; --kept: #6cb8e6; --removed: #f0896c;
    --good: #6fce9d; --bad: #f0896c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  -webkit-text-size-adjust: 100%; overflow-wrap: anywhere;
}
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
header p.kicker {
  margin: 0; color: var(--soft); font-size: .8rem; letter-spacing: .09em;
  text-transform: uppercase;
}
h1 { margin: .1rem 0 .4rem; font-size: clamp(1.4rem, 6vw, 1.9rem); line-height: 1.15; }
h2 { margin: 2.4rem 0 .3rem; font-size: 1.2rem; }
h3 { margin: 0; font-size: 1rem; }
p { margin: .3rem 0; }
.soft { color: var(--soft); font-size: .875rem; }
.lead { font-size: 1.06rem; }
.alarm {
  margin: .8rem 0; padding: .7rem .9rem; border: 2px solid var(--bad);
  border-radius: .7rem; background: var(--card); color: var(--bad); font-weight: 600;
}
.alarm strong {
  display: inline-block; margin-right: .3rem; padding: 0 .45rem; border-radius: .4rem;
  background: var(--bad); color: var(--card); text-transform: uppercase;
  font-size: .8rem; letter-spacing: .06em;
}
.origin {
  display: grid; grid-template-columns: max-content 1fr; gap: .1rem .9rem;
  margin: .6rem 0 0; font-size: .875rem;
}
.origin dt { color: var(--soft); } .origin dd { margin: 0; }
.cards, .groups { display: grid; gap: .75rem; margin-top: .9rem; }
.cards { grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.6rem), 1fr)); }
.groups { grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: .7rem;
  padding: .8rem .9rem; min-width: 0; margin: 0;
}
.card dt, .card .was-text { color: var(--soft); font-size: .85rem; }
.card dd { margin: 0; }
.card:first-child .value { font-size: 1.75rem; }
.card .value {
  font-size: 1.3rem; font-weight: 650; line-height: 1.3;
  font-variant-numeric: tabular-nums;
}
.change { display: block; font-weight: 600; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); }
svg { display: block; width: 100%; }
svg.bar { height: .5rem; border-radius: .25rem; margin: .45rem 0 .1rem; }
svg .was { fill: var(--was); } svg .now { fill: var(--kept); }
svg.chart { height: auto; margin-top: .4rem; }
svg text { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums; }
svg text.removed { fill: var(--removed); } svg text.kept { fill: var(--kept); }
svg path { fill: none; }
path.grid { stroke: var(--line); }
path.cut { stroke: var(--ink); stroke-dasharray: 3 3; }
path.dot { stroke-width: 5; stroke-linecap: round; }
path.alone { opacity: .4; }
path.error { stroke-width: 1.2; opacity: .55; }
path.removed { stroke: var(--removed); } path.kept { stroke: var(--kept); }
.tables { display: grid; gap: 0 2.5rem; align-items: start; }
table { border-collapse: collapse; width: 100%; margin-top: .6rem; }
@media (min-width: 50rem) {
  .tables:has(table + table) { grid-template-columns: 1fr 1fr; }
}
/* Below each other they are one table, of one head. */
@media (max-width: 49.99rem) {
  table + table { margin-top: 0; }
  table + table thead { position: absolute; clip-path: inset(50%); width: 1px; }
}
th, td { padding: .28rem 0; border-bottom: 1px solid var(--line); text-align: left; }
th { font-weight: 600; padding-right: .6rem; line-height: 1.25; }
th[scope="row"] { font-size: .94rem; }
thead th { color: var(--soft); font-size: .8rem; font-weight: 500; }
td.bar-cell { width: 34%; padding-right: .8rem; }
.share { display: flex; align-items: center; gap: .3rem; font-size: .875rem; }
.share span {
  flex: none; width: 2.7rem; text-align: right; font-variant-numeric: tabular-nums;
}
.share svg.bar { margin: 0; }
summary { cursor: pointer; margin-top: .6rem; font-weight: 600; }
td.number, th.number {
  text-align: right; white-space: nowrap; width: 1%; padding-right: 0;
  font-variant-numeric: tabular-nums;
}
.reason { display: block; color: var(--soft); font-weight: 400; font-size: .85rem; }
.tag {
  display: inline-block; border: 1px solid currentColor; border-radius: .4rem;
  padding: 0 .35rem; font-size: .75rem;
}
.notes li { margin: .25rem 0; }
.notes { padding-left: 1.1rem; }
@media print { body { background: none; } .card { break-inside: avoid; } }
"""
