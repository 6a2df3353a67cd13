/* Kafka's messages as Lua tables, both ways. Fields have Kafka's own names;
 * ids of topics are their usual text; null is nil. */
#include "wire_table.h"

#include <stdlib.h>
#include <string.h>

/* Ids of topics: 16 bytes, shown as base64 for URLs without padding. */

enum { ID_BYTES = 16, ID_TEXT = 22 };

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void write_id(const uint8_t *id, char *text) {
  for (int i = 0; i < ID_TEXT; i++) {
    int bit = i * 6, at = bit / 8;
    unsigned pair = (unsigned)id[at] << 8;

    if (at + 1 < ID_BYTES)
      pair |= id[at + 1];
    text[i] = digits[pair >> (10 - bit % 8) & 63];
  }
}

static int read_id(const char *text, size_t length, uint8_t *id) {
  memset(id, 0, ID_BYTES);
  if (length != ID_TEXT)
    return 0;
  for (int i = 0; i < ID_TEXT; i++) {
    const char *digit = memchr(digits, text[i], sizeof digits - 1);
    int bit = i * 6, at = bit / 8;
    unsigned pair;

    if (digit == NULL)
      return 0;
    pair = (unsigned)(digit - digits) << (10 - bit % 8);
    id[at] |= (uint8_t)(pair >> 8);
    if (at + 1 < ID_BYTES)
      id[at + 1] |= (uint8_t)pair;
  }
  return 1;
}

/* Tables to bytes: the table being read is on top of the stack. */

typedef struct maker {
  lua_State *L;
  const tsh_message *msg;
  int16_t version;
  struct iovec *out;
  tsh_err err;
  int status;
  uint8_t id[ID_BYTES];
} maker;

static int refuse(maker *m, const tsh_field *field, const char *want,
                  tsh_err *err) {
  return tsh_err_set(err, TSH_INVALID, "wire", 0, "%s: %s is %s, not a %s",
                     m->msg->name, field->name, want, luaL_typename(m->L, -1));
}

static void push_member(maker *m, const tsh_field *field, int64_t index) {
  if (index >= 0) {
    lua_rawgeti(m->L, -1, index + 1);
  } else {
    lua_pushstring(m->L, field->name);
    lua_rawget(m->L, -2);
  }
}

/* A name that no field has is a typing mistake; silence would hide it. */
static int check_names(maker *m, const tsh_field *fields, tsh_err *err) {
  for (lua_pushnil(m->L); lua_next(m->L, -2); lua_pop(m->L, 1)) {
    const tsh_field *field = fields;
    const char *name =
        lua_type(m->L, -2) == LUA_TSTRING ? lua_tostring(m->L, -2) : "?";

    while (field->name != NULL && strcmp(field->name, name) != 0)
      field++;
    if (field->name != NULL)
      continue;
    tsh_err_set(err, TSH_INVALID, "wire", 0, "%s: no field '%s'", m->msg->name,
                name);
    lua_pop(m->L, 2);
    return TSH_INVALID;
  }
  return 0;
}

static int make_enter(void *user, const tsh_field *field, int64_t index,
                      int64_t *count, tsh_err *err) {
  maker *m = user;
  int status = 1;

  luaL_checkstack(m->L, 4, "a message nests too deeply");
  push_member(m, field, index);
  if (lua_isnil(m->L, -1))
    status = 0;
  else if (!lua_istable(m->L, -1))
    status = refuse(m, field, "a table", err);
  else if (count != NULL)
    *count = (int64_t)lua_rawlen(m->L, -1);
  else if (check_names(m, field->fields, err) != 0)
    status = TSH_INVALID;
  if (status != 1)
    lua_pop(m->L, 1);
  return status;
}

static void make_leave(void *user, const tsh_field *field) {
  maker *m = user;

  (void)field;
  lua_pop(m->L, 1);
}

static const char *read_number(maker *m, tsh_value *out) {
  int is_integer;

  out->integer = lua_tointegerx(m->L, -1, &is_integer);
  return is_integer && lua_type(m->L, -1) == LUA_TNUMBER ? NULL : "an integer";
}

/* The table keeps its strings, so their bytes outlive the pop. */
static const char *read_bytes(maker *m, const tsh_field *field,
                              tsh_value *out) {
  if (lua_type(m->L, -1) != LUA_TSTRING)
    return "a string";
  out->bytes.data = lua_tolstring(m->L, -1, &out->bytes.size);
  if (field->type != TSH_F_UUID)
    return NULL;
  if (!read_id(out->bytes.data, out->bytes.size, m->id))
    return "an id of 22 characters";
  out->bytes = (tsh_text){(const char *)m->id, sizeof m->id};
  return NULL;
}

static const char *read_value(maker *m, const tsh_field *field,
                              tsh_value *out) {
  *out = (tsh_value){0};
  switch (field->type) {
    case TSH_F_BOOL:
      out->integer = lua_toboolean(m->L, -1);
      return lua_isboolean(m->L, -1) ? NULL : "true or false";
    case TSH_F_F64:
      out->real = lua_tonumber(m->L, -1);
      return lua_type(m->L, -1) == LUA_TNUMBER ? NULL : "a number";
    case TSH_F_UUID:
    case TSH_F_TEXT:
    case TSH_F_BYTES:
      return read_bytes(m, field, out);
    default:
      return read_number(m, out);
  }
}

static int make_value(void *user, const tsh_field *field, int64_t index,
                      tsh_value *out, tsh_err *err) {
  maker *m = user;
  const char *wrong;
  int status;

  push_member(m, field, index);
  if (lua_isnil(m->L, -1)) {
    status = 0;
  } else {
    wrong = read_value(m, field, out);
    status = wrong == NULL ? 1 : refuse(m, field, wrong, err);
  }
  lua_pop(m->L, 1);
  return status;
}

static int make_protected(lua_State *L) {
  maker *m = lua_touserdata(L, 2);
  tsh_source source = {m, make_enter, make_leave, make_value};

  lua_settop(L, 1);
  m->L = L;
  m->status = check_names(m, m->msg->request, &m->err);
  if (m->status == 0)
    m->status =
        tsh_message_encode(m->msg, false, m->version, &source, m->out, &m->err);
  return 0;
}

void tsh_bind_write_message(lua_State *L, int index, const tsh_message *msg,
                            int16_t version, struct iovec *out) {
  maker m = {.msg = msg, .version = version, .out = out};
  int status;

  *out = (struct iovec){0};
  index = lua_absindex(L, index);
  lua_pushcfunction(L, make_protected);
  lua_pushvalue(L, index);
  lua_pushlightuserdata(L, &m);
  status = lua_pcall(L, 2, 0, 0);
  if (status == LUA_OK && m.status == 0)
    return;
  free(out->iov_base);
  if (status != LUA_OK)
    lua_error(L);
  luaL_error(L, "%s", m.err.message);
}

/* Bytes to tables: the table being filled is on top of the stack. */

static void attach(lua_State *L, const tsh_field *field) {
  if (field->list)
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  else
    lua_setfield(L, -2, field->name);
}

static void push_list(void *user, const tsh_field *field, int64_t count) {
  lua_State *L = user;

  (void)field;
  luaL_checkstack(L, 4, "a message nests too deeply");
  if (count < 0)
    lua_pushnil(L);
  else
    lua_newtable(L);
}

static void push_list_end(void *user, const tsh_field *field) {
  lua_setfield(user, -2, field->name);
}

static void push_open(void *user, const tsh_field *field) {
  (void)field;
  luaL_checkstack(user, 4, "a message nests too deeply");
  lua_newtable(user);
}

static void push_open_end(void *user, const tsh_field *field) {
  if (field != NULL)
    attach(user, field);
}

static void push_value(void *user, const tsh_field *field,
                       const tsh_value *value) {
  lua_State *L = user;
  char id[ID_TEXT];

  if (value->null)
    return;
  switch (field->type) {
    case TSH_F_BOOL:
      lua_pushboolean(L, value->integer != 0);
      break;
    case TSH_F_F64:
      lua_pushnumber(L, value->real);
      break;
    case TSH_F_UUID:
      write_id((const uint8_t *)value->bytes.data, id);
      lua_pushlstring(L, id, sizeof id);
      break;
    case TSH_F_TEXT:
    case TSH_F_BYTES:
      lua_pushlstring(L, value->bytes.data, value->bytes.size);
      break;
    default:
      lua_pushinteger(L, value->integer);
  }
  attach(L, field);
}

int tsh_bind_push_message(lua_State *L, const tsh_message *msg, int16_t version,
                          const void *data, size_t size) {
  const tsh_visitor visitor = {L,         push_list,     push_list_end,
                               push_open, push_open_end, push_value};
  int top = lua_gettop(L);
  tsh_err err = {0};

  if (tsh_message_decode(msg, true, version, data, size, &visitor, &err) == 0)
    return 1;
  lua_settop(L, top);
  return tsh_bind_fail(L, &err);
}
