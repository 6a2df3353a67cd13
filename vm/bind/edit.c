/* vm.edit: a line of text from somebody at a terminal.
 *
 *   open() -> editor | nil, err (no terminal)
 *   editor:line(prompt) -> text, "line"|"cancel"|"end"     waits
 *   editor:ask() -> text before the cursor | false         waits for TAB
 *   editor:answer(words, typed)   words replace the last `typed` bytes
 *   editor:remember(line)  editor:load(path)  editor:save(path) */
#include "tranship/edit.h"

#include "bind.h"

typedef struct editor {
  tsh_edit *edit;
} editor;

static void editor_release(void *body) {
  tsh_edit_close(((editor *)body)->edit);
}

static const tsh_class editor_class;

static tsh_edit *check_edit(lua_State *L) {
  return ((editor *)tsh_bind_check(L, 1, &editor_class))->edit;
}

static int push_line(lua_State *L, tsh_op *op) {
  static const char *const ends[] = {"line", "cancel", "end"};
  tsh_edit_end end;

  lua_pushstring(L, tsh_edit_line(op, &end));
  lua_pushstring(L, ends[end]);
  return 2;
}

static int editor_line(lua_State *L) {
  tsh_edit *edit = check_edit(L);
  const char *prompt = luaL_checkstring(L, 2);

  return tsh_bind_await(L, tsh_edit_read(edit, prompt), push_line);
}

static int push_question(lua_State *L, tsh_op *op) {
  const char *question = tsh_edit_question(op);

  if (question == NULL)
    lua_pushboolean(L, 0);
  else
    lua_pushstring(L, question);
  return 1;
}

static int editor_ask(lua_State *L) {
  return tsh_bind_await(L, tsh_edit_ask(check_edit(L)), push_question);
}

static int editor_answer(lua_State *L) {
  tsh_edit *edit = check_edit(L);
  lua_Integer typed = luaL_checkinteger(L, 3);
  size_t count;
  const char **words;

  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_argcheck(L, typed >= 0, 3, "not negative");
  count = (size_t)luaL_len(L, 2);
  words = lua_newuserdatauv(L, (count + 1) * sizeof *words, 0);
  luaL_checkstack(L, (int)count + 1, "too many words");
  for (size_t i = 0; i < count; i++) {
    lua_geti(L, 2, (lua_Integer)i + 1);
    words[i] = luaL_checkstring(L, -1); /* stays on the stack */
  }
  tsh_edit_answer(edit, words, count, (size_t)typed);
  return 0;
}

static int editor_remember(lua_State *L) {
  tsh_edit *edit = check_edit(L);

  tsh_edit_remember(edit, luaL_checkstring(L, 2));
  return 0;
}

static int history_file(lua_State *L,
                        int (*act)(tsh_edit *, const char *, tsh_err *)) {
  tsh_edit *edit = check_edit(L);
  tsh_err err;

  if (act(edit, luaL_checkstring(L, 2), &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int editor_load(lua_State *L) { return history_file(L, tsh_edit_load); }

static int editor_save(lua_State *L) { return history_file(L, tsh_edit_save); }

static const luaL_Reg editor_methods[] = {{"line", editor_line},
                                          {"ask", editor_ask},
                                          {"answer", editor_answer},
                                          {"remember", editor_remember},
                                          {"load", editor_load},
                                          {"save", editor_save},
                                          {NULL, NULL}};

static const tsh_class editor_class = {
    .name = "edit.editor",
    .size = sizeof(editor),
    .release = editor_release,
    .methods = editor_methods,
};

static int edit_open(lua_State *L) {
  editor *self = tsh_bind_new(L, &editor_class);
  tsh_err err;

  if (tsh_edit_open(&self->edit, tsh_bind_loop(L), &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, self);
  return 1;
}

static const luaL_Reg functions[] = {{"open", edit_open}, {NULL, NULL}};

int luaopen_vm_edit(lua_State *L) {
  tsh_bind_class(L, &editor_class);
  luaL_newlib(L, functions);
  return 1;
}
