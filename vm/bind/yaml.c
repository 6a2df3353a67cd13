/* vm.yaml: manifests to Lua values. */
#include "../core/yaml_tree.h"

#include "json.h"

typedef struct keeper {
  tsh_yaml yaml;
} keeper;

static void keeper_release(void *body) {
  tsh_yaml_fini(&((keeper *)body)->yaml);
}

static const tsh_class keeper_class = {"yaml.documents", sizeof(keeper),
                                       keeper_release, NULL, true};

/* Pushes the keeper; NULL with nil, err on the stack. */
static keeper *read(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  keeper *k;
  tsh_err err;

  lua_settop(L, 1);
  k = tsh_bind_new(L, &keeper_class);
  if (tsh_yaml_read(&k->yaml, text, length, 0, &err) != 0) {
    tsh_bind_fail(L, &err);
    return NULL;
  }
  tsh_bind_opened(L, k);
  return k;
}

/* decode(text) -> the value of its one document | nil, err. */
static int yaml_decode(lua_State *L) {
  keeper *k = read(L);
  tsh_err err;

  if (k == NULL)
    return 2;
  if (json_array_size(k->yaml.documents) != 1) {
    tsh_err_set(&err, TSH_INVALID, "yaml", 0,
                "one document is wanted, and there are %zu",
                json_array_size(k->yaml.documents));
    return tsh_bind_fail(L, &err);
  }
  tsh_bind_push_tree(L, json_array_get(k->yaml.documents, 0));
  return 1;
}

/* documents(text) -> the values of all that are not empty | nil, err. */
static int yaml_documents(lua_State *L) {
  keeper *k = read(L);

  if (k == NULL)
    return 2;
  tsh_bind_push_tree(L, k->yaml.documents);
  return 1;
}

static const luaL_Reg functions[] = {
    {"decode", yaml_decode}, {"documents", yaml_documents}, {NULL, NULL}};

int luaopen_vm_yaml(lua_State *L) {
  tsh_bind_class(L, &keeper_class);
  luaL_newlib(L, functions);
  return 1;
}
