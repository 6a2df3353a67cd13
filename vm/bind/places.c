/* vm.places: positions of one cluster as positions of the other. */
#include "tranship/places.h"

#include <stdlib.h>
#include <string.h>

#include "bind.h"

typedef struct handle {
  tsh_places *places;
} handle;

static void handle_release(void *body) {
  tsh_places_free(((handle *)body)->places);
}

static int places_add(lua_State *L);
static int places_find(lua_State *L);
static int places_filter(lua_State *L);

static const luaL_Reg places_methods[] = {{"add", places_add},
                                          {"find", places_find},
                                          {"filter", places_filter},
                                          {NULL, NULL}};

static const tsh_class places_class = {"places", sizeof(handle), handle_release,
                                       places_methods};

static handle *check(lua_State *L) {
  return tsh_bind_check(L, 1, &places_class);
}

/* new{ back, records } -> places */
static int places_new(lua_State *L) {
  static const char *const names[] = {"back", "records", NULL};
  handle *h;

  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  tsh_bind_options(L, 1, names);
  h = tsh_bind_new(L, &places_class);
  h->places = tsh_places_new(tsh_bind_opt_boolean(L, 1, "back", 0),
                             tsh_bind_opt_boolean(L, 1, "records", 0));
  if (h->places == NULL)
    return luaL_error(L, "not enough memory");
  tsh_bind_opened(L, h);
  return 1;
}

/* places:add{ topic, there, partition, map, ... } -> true | nil, err */
static int places_add(lua_State *L) {
  static const char *const names[] = {"topic",       "there",    "partition",
                                      "map",         "foreign",  "foreign_end",
                                      "first_there", "left_out", NULL};
  handle *h = check(L);
  tsh_place_part part = {0};
  size_t size;
  const char *bytes;
  tsh_err err;

  tsh_bind_options(L, 2, names);
  part.topic = tsh_bind_opt_string(L, 2, "topic", NULL);
  part.topic_there = tsh_bind_opt_string(L, 2, "there", part.topic);
  luaL_argcheck(L, part.topic != NULL, 2, "no topic");
  part.partition = (int32_t)tsh_bind_opt_integer(L, 2, "partition", 0);
  part.first_there = tsh_bind_opt_integer(L, 2, "first_there", 0);
  part.foreign = tsh_bind_opt_integer(L, 2, "foreign", 0);
  part.foreign_end = tsh_bind_opt_integer(L, 2, "foreign_end", 0);
  part.left_out = tsh_bind_opt_boolean(L, 2, "left_out", 0);
  lua_getfield(L, 2, "map");
  bytes = luaL_checklstring(L, -1, &size);
  if (tsh_offsets_load(&part.map, (const uint8_t *)bytes, size, &err) != 0 ||
      tsh_places_add(h->places, &part, &err) != 0)
    return tsh_bind_fail(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* places:find(topic, partition, offset) -> offset|nil, word, topic there */
static int places_find(lua_State *L) {
  handle *h = check(L);
  size_t length;
  const char *topic = luaL_checklstring(L, 2, &length);
  tsh_place_answer answer =
      tsh_places_find(h->places, topic, length, luaL_checkinteger(L, 3),
                      luaL_checkinteger(L, 4));

  if (tsh_places_is_given(h->places, answer.how))
    lua_pushinteger(L, answer.offset);
  else
    lua_pushnil(L);
  lua_pushstring(L, tsh_place_name(answer.how));
  lua_pushstring(L, answer.topic_there);
  return 3;
}

/* --- the filter --- */

typedef struct filter {
  tsh_work work;
  tsh_rows *rows;
  int input, output;
} filter;

static int filter_run(tsh_work *work) {
  filter *f = (filter *)work;

  return tsh_rows_pass(f->rows, f->input, f->output, &work->op.err);
}

static void filter_free(tsh_op *op) {
  tsh_rows_free(((filter *)op)->rows);
  free(op);
}

static int push_told(lua_State *L, tsh_op *op) {
  const tsh_rows_told *told = tsh_rows_what(((filter *)op)->rows);

  lua_createtable(L, 0, 2);
  lua_createtable(L, 0, TSH_PLACE_KINDS);
  for (int i = 0; i < TSH_PLACE_KINDS; i++) {
    lua_pushinteger(L, told->count[i]);
    lua_setfield(L, -2, tsh_place_name((tsh_place)i));
  }
  lua_setfield(L, -2, "rows");
  lua_createtable(L, told->refused_count, 0);
  for (int i = 0; i < told->refused_count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, told->refused[i].row);
    lua_setfield(L, -2, "row");
    lua_pushstring(L, tsh_place_name(told->refused[i].how));
    lua_setfield(L, -2, "why");
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "refused");
  return 1;
}

static void read_rows_spec(lua_State *L, tsh_rows_spec *spec) {
  static const char *const names[] = {
      "json",      "delimiter",     "no_head", "topic", "partition", "offset",
      "all_topic", "all_partition", "note",    "input", "output",    NULL};

  tsh_bind_options(L, 2, names);
  spec->json = tsh_bind_opt_boolean(L, 2, "json", 0);
  spec->delimiter = *tsh_bind_opt_string(L, 2, "delimiter", ",");
  spec->no_head = tsh_bind_opt_boolean(L, 2, "no_head", 0);
  spec->topic = tsh_bind_opt_string(L, 2, "topic", "topic");
  spec->partition = tsh_bind_opt_string(L, 2, "partition", "partition");
  spec->offset = tsh_bind_opt_string(L, 2, "offset", "offset");
  spec->all_topic = tsh_bind_opt_string(L, 2, "all_topic", NULL);
  spec->all_partition = tsh_bind_opt_integer(L, 2, "all_partition", -1);
  spec->note = tsh_bind_opt_string(L, 2, "note", NULL);
}

/* places:filter{ json, topic, ..., input, output } -> told | nil, err.
 * The rows take the places with them: the handle stays behind empty. */
static int places_filter(lua_State *L) {
  handle *h = check(L);
  tsh_rows_spec spec = {0};
  int input, output;
  tsh_places *places;
  filter *f;
  tsh_err err;

  read_rows_spec(L, &spec);
  input = (int)tsh_bind_opt_integer(L, 2, "input", 0);
  output = (int)tsh_bind_opt_integer(L, 2, "output", 1);
  f = calloc(1, sizeof *f);
  if (f == NULL)
    return luaL_error(L, "not enough memory");
  f->input = input;
  f->output = output;
  places = h->places;
  h->places = NULL;
  f->rows = tsh_rows_new(&spec, places, &err);
  luaL_callmeta(L, 1, "__close");
  lua_settop(L, 2);
  if (f->rows == NULL) {
    free(f);
    return tsh_bind_fail(L, &err);
  }
  f->work.run = filter_run;
  f->work.op.free = filter_free;
  tsh_work_start(tsh_bind_loop(L), &f->work);
  return tsh_bind_await(L, &f->work.op, push_told);
}

static const luaL_Reg functions[] = {{"new", places_new}, {NULL, NULL}};

int luaopen_vm_places(lua_State *L);

int luaopen_vm_places(lua_State *L) {
  tsh_bind_class(L, &places_class);
  luaL_newlib(L, functions);
  return 1;
}
