// What buttons, keys and menus order: things done to flows, by commands to the kernel.

import { copyText, insertCell } from "./cells.mjs";
import { countText } from "./dom.mjs";
import { ask } from "./menu.mjs";

/** The orders that are given in one view. */
export class Orders {
  constructor(view) {
    this.view = view;
    this.edits = null; // the held flow that is being edited
  }

  async attempt(work) {
    try {
      await work();
    } catch (error) {
      this.view.toasts.say(error.message, true);
    }
  }

  run(name, args = {}) {
    const { ids } = this.view;
    const id = this.view.detail.isOpen ? this.view.detail.id : ids[ids.length - 1];
    if (id === undefined || id < 0) {
      this.view.toasts.say("Select a flow first.");
      return;
    }
    this.attempt(() => this[`do_${name}`](id, ids, args));
  }

  call(name, args) {
    return this.view.desk.link.call(name, args);
  }

  async do_replay(id, ids) {
    const flows = ids.length ? ids : [id];
    const made = await this.call("replay", { flows });
    this.view.toasts.say(flows.length > 1 ? `${countText(made.length)} sent again` : "Sent again");
    this.sayIfFewer(made.length, flows.length);
    if (made.length === 1) this.view.later(made[0]);
  }

  sayIfFewer(done, wanted) {
    if (done < wanted) this.view.toasts.say(`Only ${countText(done)} of ${countText(wanted, "flow")}: more are not taken at a time.`, true);
  }

  async do_edit(id) {
    const held = (this.view.desk.state.held ?? []).find((each) => each.id === id);
    if (held) {
      await this.held("edit", id);
      return;
    }
    const message = await this.call("editable", { flow: id, side: "request" });
    if (!this.view.detail.isOpen) this.view.openDetail(id, 1);
    this.view.detail.startEditor(
      message,
      [
        {
          label: "Send",
          kind: "nbi-main",
          action: async (edited) => {
            const made = await this.call("send", { flow: id, edited });
            this.view.detail.leaveEditor();
            this.view.later(made);
          },
        },
      ],
      { title: "Edit and replay" },
    );
  }

  async give(text, what) {
    if (await copyText(text)) this.view.toasts.say(what);
    else await ask(this.view.root, { title: "Copy it from here", fields: [{ name: "text", label: "", value: text, rows: 8, readonly: true }], confirm: "Done" });
  }

  async do_curl(id) {
    await this.give(await this.call("curl", { flow: id }), "Copied as curl, with its secrets");
  }

  async do_url(id) {
    await this.give(await this.call("url", { flow: id }), "URL copied, with its secrets");
  }

  async do_copy_code(id, _, { library }) {
    await this.give(await this.call("code", { flow: id, library }), `Copied as ${library} code`);
  }

  async do_to_cell(id, _, { library }) {
    const code = await this.call("code", { flow: id, library });
    if (insertCell(this.view.desk.model, this.view.desk.modelId, code)) this.view.toasts.say("A new cell is below this one");
    else await this.give(code, "This page has no notebook that can be written to: the code is in the clipboard");
  }

  async do_mark(id, ids) {
    const flows = ids.length ? ids : [id];
    this.sayIfFewer(await this.call("mark", { flows, mark: this.view.desk.mirror.isMarked(id) ? "" : ":default:" }), flows.length);
  }

  async do_comment(id, ids) {
    const value = await ask(this.view.root, {
      title: "Comment",
      fields: [{ name: "text", label: "Comment", value: await this.call("commented", { flow: id }), rows: 3 }],
      note: "Shift+Enter begins another line.",
    });
    if (!value) return;
    const flows = ids.length ? ids : [id];
    this.sayIfFewer(await this.call("comment", { flows, text: value.text }), flows.length);
  }

  async do_save(id, ids) {
    const flows = ids.length ? ids : [id];
    const value = await ask(this.view.root, {
      title: `Save ${countText(flows.length, "flow")}`,
      fields: [{ name: "path", label: "File", value: flows.length > 1 ? "flows.har" : `flow-${id}.har` }],
      confirm: "Save",
      note: "The end of the name says the format: .har, .mitm, .curl.sh. Secrets are written as they are.",
    });
    if (!value) return;
    const { count, path } = await this.call("save", { flows, path: value.path });
    this.view.toasts.say(`${countText(count, "flow")} saved to ${path}`);
  }

  async do_remove(id, ids) {
    const flows = ids.length ? ids : [id];
    await this.call("remove", { flows });
    this.view.closeDetail();
    this.view.grid.setSelected([], "table");
  }

  // -- held flows

  toggleIntercept() {
    this.attempt(async () => {
      const { state, filter } = this.view.desk;
      if (state.can_intercept === false) throw new Error("this proxy cannot hold flows");
      if (state.intercept) {
        await this.call("intercept", { source: "" });
        this.view.toasts.say("Nothing is intercepted any more; what was held went on");
        return;
      }
      const value = await ask(this.view.root, {
        title: "Hold flows that match",
        fields: [{ name: "source", label: "Filter", value: filter, placeholder: "~m POST & ~u login; nothing for all" }],
        confirm: "Intercept",
        note: "Requests and responses wait for you, for a while; then they go on unchanged. With ~q only requests do, with ~s only responses.",
      });
      if (value) await this.call("intercept", { source: value.source.trim() || "~all" });
    });
  }

  held(name, id) {
    return this.attempt(async () => {
      const flow = (this.view.desk.state.held ?? []).find((each) => each.id === id);
      if (name === "resume_all") await this.call("resume_all", {});
      else if (name === "resume" || name === "kill") await this.call(name, { flows: [id] });
      else await this.editHeld(name, id, flow);
    });
  }

  async editHeld(name, id, flow) {
    this.view.show(id);
    await this.call("extend", { flow: id });
    const side = name === "answer" ? "response" : flow?.side ?? "request";
    const message = name === "answer" ? { side, status: 200, reason: "OK", headers: [["content-type", "text/plain; charset=utf-8"]], body: "" } : await this.call("editable", { flow: id, side });
    this.view.detail.startEditor(
      message,
      [
        {
          label: name === "answer" ? "Answer" : "Resume with this",
          kind: "nbi-main",
          action: async (edited) => {
            const { edits } = this;
            this.edits = null; // that it goes on now is what is wanted
            try {
              await this.call(name === "answer" ? "answer" : "edit", { flow: id, edited });
            } catch (error) {
              this.edits = edits;
              throw error;
            }
            this.view.detail.leaveEditor();
            this.view.detail.fetch();
          },
        },
      ],
      { title: name === "answer" ? "Answer with" : `Edit the held ${side}` },
    );
    this.edits = { editor: this.view.detail.editor, id, side: flow?.side };
    this.checkEdited();
  }

  /** What is being edited may go on meanwhile: its time is up, its client has gone, somebody resumes it. */
  checkEdited() {
    const { edits } = this;
    const { desk, detail } = this.view;
    if (!edits || edits.editor !== detail.editor) return;
    if ((desk.state.held ?? []).some(({ id, side }) => id === edits.id && side === edits.side)) return;
    this.edits = null;
    edits.editor.lapse("It is not held any more: it went on, or was ended, without what is written here.");
  }
}
