/* vm.handover: secrets for a process that works already; see
 * include/tranship/handover.h. */
#include "tranship/handover.h"

#include "bind.h"

typedef struct inbox {
  tsh_inbox *inbox;
} inbox;

static void inbox_release(void *body) {
  tsh_inbox_close(((inbox *)body)->inbox);
}

static const tsh_class inbox_class;

/* inbox:take() -> secret | false | nil, err. */
static int inbox_take(lua_State *L) {
  inbox *i = tsh_bind_check(L, 1, &inbox_class);
  tsh_secret *taken;
  tsh_err err;

  if (tsh_inbox_take(i->inbox, &taken, &err) != 0)
    return tsh_bind_fail(L, &err);
  if (taken == NULL) {
    lua_pushboolean(L, 0);
    return 1;
  }
  tsh_bind_push_secret(L, tsh_secret_bytes(taken), tsh_secret_length(taken),
                       "handed over");
  tsh_secret_free(taken);
  return 1;
}

static const luaL_Reg inbox_methods[] = {{"take", inbox_take}, {NULL, NULL}};

static const tsh_class inbox_class = {"inbox", sizeof(inbox), inbox_release,
                                      inbox_methods};

/* open(path) -> inbox | nil, err. */
static int handover_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  inbox *i = tsh_bind_new(L, &inbox_class);
  tsh_err err;

  if (tsh_inbox_open(&i->inbox, path, &err) != 0)
    return tsh_bind_fail(L, &err);
  tsh_bind_opened(L, i);
  return 1;
}

/* give(path, secret) -> true | nil, err. */
static int handover_give(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  size_t length;
  const char *bytes = tsh_bind_secret(L, 2, &length);
  tsh_err err;

  luaL_argcheck(L, bytes != NULL, 2, "no secret");
  if (tsh_handover_give(path, bytes, length, &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {
    {"open", handover_open}, {"give", handover_give}, {NULL, NULL}};

int luaopen_vm_handover(lua_State *L);

int luaopen_vm_handover(lua_State *L) {
  tsh_bind_class(L, &inbox_class);
  luaL_newlib(L, functions);
  return 1;
}
