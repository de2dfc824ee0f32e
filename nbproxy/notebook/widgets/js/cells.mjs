// New cells, and the clipboard.

/** The notebook that a widget is in, as JupyterLab and Notebook 7 know it; null elsewhere. */
function notebookOf(model) {
  try {
    const context = model.widget_manager?.context;
    return context?.model?.sharedModel?.insertCell ? context.model : null;
  } catch {
    return null;
  }
}

/** The number of the cell that shows a widget, -1 if that is not known. */
function cellWith(notebook, modelId) {
  const { cells } = notebook;
  for (let index = 0; index < cells.length; index += 1) {
    const { outputs } = cells.get(index);
    for (let output = 0; output < (outputs?.length ?? 0); output += 1) {
      const view = outputs.get(output).data["application/vnd.jupyter.widget-view+json"];
      if (view?.model_id === modelId) return index;
    }
  }
  return -1;
}

/** Put code into a new cell below the widget's; whether that could be done. */
export function insertCell(model, modelId, source) {
  const notebook = notebookOf(model);
  if (!notebook || notebook.readOnly) return false;
  try {
    const place = cellWith(notebook, modelId);
    const index = place < 0 ? notebook.cells.length : place + 1;
    notebook.sharedModel.insertCell(index, { cell_type: "code", source, metadata: { trusted: true } });
    return true;
  } catch {
    return false;
  }
}

/** Put text into the clipboard; whether that could be done. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not allowed here, or no secure context
  }
}
