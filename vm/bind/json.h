/* JSON between Lua and trees, for the bindings that carry JSON. */
#ifndef TRANSHIP_BIND_JSON_H
#define TRANSHIP_BIND_JSON_H

#include "../core/json.h"
#include "bind.h"
#include "tranship/base64.h"
#include "tranship/buf.h"

/* Pushes plain Lua values: tables for objects and arrays. */
void tsh_bind_push_tree(lua_State *L, json_t *tree);
/* A value that is neither object nor array. */
void tsh_bind_push_scalar(lua_State *L, const json_t *node);
/* The table on top is an array, even when it is empty. */
void tsh_bind_mark_array(lua_State *L);

/* What becomes of secrets in a value that is made JSON. */
typedef enum tsh_secrets {
  TSH_SECRETS_SHOWN, /* as "<secret label 4c1e>": for people */
  TSH_SECRETS_REFUSED,
  TSH_SECRETS_OPENED /* in data and stringData: what they are; else refused */
} tsh_secrets;

/* The JSON text of the value at `index`. Pushes its keeper, a slot to close
 * (lua_closeslot) as soon as the text has been used. */
tsh_buf *tsh_bind_json_text(lua_State *L, int index, tsh_secrets secrets);

/* Views (json_view.c): a tree that stays in C; what is looked at becomes Lua.
 * What may be secret in the tree is seen as secrets. */
typedef enum tsh_hide {
  TSH_HIDE_NOTHING,
  TSH_HIDE_SECRET, /* Secrets: what is under data and stringData */
  TSH_HIDE_TOKEN,  /* TokenRequests: what is under token */
  TSH_HIDE_BASE64, /* all of it, and it is base64 */
  TSH_HIDE_TEXT    /* all of it */
} tsh_hide;

/* Pushes a view of `node`, which keeps it alive, or its plain value. */
void tsh_bind_push_view(lua_State *L, json_t *node, const char *key,
                        tsh_hide hide);
/* The same for the text that a server answered (objects of lists and watches
 * come without managedFields); on failure pushes nothing. */
int tsh_bind_push_parsed(lua_State *L, const char *text, size_t length,
                         tsh_hide hide, tsh_err *err);
/* A deep copy of the view at `index`, or NULL if it is none. What it hides is
 * copied too if `is_open`; else it is veiled, and `*hid` becomes true. */
json_t *tsh_bind_view_copy(lua_State *L, int index, bool is_open, bool *hid);
/* Adds the functions about views to the table on top. */
void tsh_bind_view_register(lua_State *L);

#endif
