"""What is measured in a page that shows an inspector: scripts for the page, a cell to fill it."""

from __future__ import annotations

from typing import Final

FILL: Final = """
from tests.support.traffic import fill
fill(nbproxy.flows.store, {count})
"""
"""A cell that records so many flows."""

PAINT: Final = """async ([index, count]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  const { node } = content.widgets[index];
  const frame = () => new Promise(requestAnimationFrame);
  const row = () => node.querySelector('.nbi-rows .nbi-row:not([hidden]):not(.nbi-absent)');
  const began = performance.now();
  content.activeCellIndex = index;
  window.jupyterapp.commands.execute('notebook:run-cell');
  while (!row()) await frame();
  const first = performance.now() - began;
  const whole = `${count.toLocaleString('en-US')} flows`;
  while (!node.querySelector('.nbi-counts').textContent.startsWith(whole)
      || node.querySelector('.nbi-progress').textContent) await frame();
  return [first, performance.now() - began];
}"""
"""Runs the cell that shows an inspector over so many flows: ms to the first row, to the last."""

EARLY: Final = """async ([index, count]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  const { node } = content.widgets[index];
  const frame = () => new Promise(requestAnimationFrame);
  const rows = () => [...node.querySelectorAll('.nbi-rows .nbi-row:not([hidden])')];
  const isAbsent = row => row.classList.contains('nbi-absent');
  content.activeCellIndex = index;
  window.jupyterapp.commands.execute('notebook:run-cell');
  while (!rows().some(row => !isAbsent(row))) await frame();
  const grid = node.querySelector('.nbi-grid');
  // before that it shows what the widget was made with, a few hundred rows
  while (Number(grid.getAttribute('aria-rowcount')) <= count) await frame();
  const began = performance.now();
  const place = 0.3;
  const total = Number(grid.getAttribute('aria-rowcount'));
  const isThere = row => Math.abs(Number(row.getAttribute('aria-rowindex')) / total - place) < 0.05;
  while (!rows().some(isThere)) {  // what comes at this moment may scroll to the end once more
    grid.scrollTop = place * grid.scrollHeight;
    await frame();
  }
  while (!rows().length || rows().some(isAbsent)) await frame();
  return [performance.now() - began, node.querySelector('.nbi-progress').textContent];
}"""
"""Runs the cell that shows so many flows, and scrolls to where no rows are yet: ms until they are
there, and what is said of the others at that moment."""

HOME: Final = """async ([index, count]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  const { node } = content.widgets[index];
  const frame = () => new Promise(requestAnimationFrame);
  content.activeCellIndex = index;
  window.jupyterapp.commands.execute('notebook:run-cell');
  const grid = () => node.querySelector('.nbi-grid');
  while (!(Number(grid()?.getAttribute('aria-rowcount')) > count)) await frame();
  grid().dispatchEvent(new KeyboardEvent('keydown', { key: 'Home', bubbles: true }));
  const first = () => node.querySelector('.nbi-rows .nbi-row[aria-rowindex="2"]:not([hidden])');
  const ends = performance.now() + 60000;
  while (!first()) {
    if (performance.now() > ends) throw Error('it did not go to the first row');
    await frame();
  }
  const came = () => !first().classList.contains('nbi-absent');
  const wasThere = came();
  while (!came()) await frame();
  return [wasThere, node.querySelector('.nbi-progress').textContent];
}"""
"""Runs the cell that shows so many flows, and presses Home: whether the first row was there, and,
once it is, what is said of the others."""

SCROLL: Final = """async places => {
  const grid = document.querySelector('.nbi-grid');
  const frame = () => new Promise(requestAnimationFrame);
  const times = [];
  for (const place of places) {
    const began = performance.now();
    grid.scrollTop = place * (grid.scrollHeight - grid.clientHeight);
    const wanted = Math.floor(grid.scrollTop / 23) + 2;
    const inSight = () => {
      const { top, bottom } = grid.getBoundingClientRect();
      const rows = [...grid.querySelectorAll('.nbi-rows .nbi-row:not([hidden])')].filter(row => {
        const box = row.getBoundingClientRect();
        return box.bottom > top + 26 && box.top < bottom;
      });
      return rows.length > 5 && rows.every(row => !row.classList.contains('nbi-absent'))
        && rows.some(row => Math.abs(Number(row.getAttribute('aria-rowindex')) - wanted) < 40);
    };
    while (!inSight()) await frame();
    times.push(performance.now() - began);
  }
  return times;
}"""
"""Jumps to places, given as shares of the whole: for each the ms until its rows are in sight."""

SMOOTH: Final = """async () => {
  const grid = document.querySelector('.nbi-grid');
  grid.scrollTop = 10000;
  const began = performance.now();
  let frames = 0, longest = 0, last = began;
  while (performance.now() - began < 1500) {
    grid.scrollTop += 120;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    frames += 1;
  }
  return [frames / ((last - began) / 1000), longest];
}"""
"""Scrolls without a rest: frames a second, and the longest one in ms."""
