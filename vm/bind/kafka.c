/* vm.kafka: clients, readers, producers.
 *
 * The methods are made from the room's table of primitives: each turns its
 * arguments into plain data, starts the call, waits, and gives back its answer.
 * So a new primitive needs nothing here. */
#include "tranship/kafka.h"

#include "data.h"
#include "wire_login.h"

typedef struct handle {
  tsh_kafka *kafka;
  lua_State *L; /* the main one: it outlives every handle */
} handle;

static void handle_release(void *body) {
  handle *h = body;

  tsh_kafka_close(h->kafka);
  tsh_bind_reap(h->L, tsh_kafka_destroy, h->kafka);
}

static int client_reader(lua_State *L);
static int client_producer(lua_State *L);
static int client_is_read_only(lua_State *L);

static const luaL_Reg client_methods[] = {{"reader", client_reader},
                                          {"producer", client_producer},
                                          {"is_read_only", client_is_read_only},
                                          {NULL, NULL}};

static const tsh_class classes[] = {
    [TSH_KAFKA_CLIENT] = {"kafka.client", sizeof(handle), handle_release,
                          client_methods},
    [TSH_KAFKA_READER] = {"kafka.reader", sizeof(handle), handle_release, NULL},
    [TSH_KAFKA_PRODUCER] = {"kafka.producer", sizeof(handle), handle_release,
                            NULL},
};

/* Calls. */

static int push_answer(lua_State *L, tsh_op *op) {
  tsh_bind_push_data(L, ((tsh_kafka_req *)op)->result);
  return 1;
}

/* Arguments that cannot be meant are the caller's mistake; what the world does
 * to us is an answer. */
static int fail(lua_State *L, const tsh_err *err) {
  if (err->kind == TSH_INVALID)
    return luaL_error(L, "%s", err->message);
  return tsh_bind_fail(L, err);
}

static int call(lua_State *L) {
  const tsh_kafka_primitive *primitive = lua_touserdata(L, lua_upvalueindex(1));
  handle *h =
      tsh_bind_check(L, 1, &classes[tsh_kafka_primitive_role(primitive)]);
  int count = lua_gettop(L);
  tsh_pool **keeper = tsh_bind_pool(L);
  tsh_data *args = tsh_data_table(*keeper);
  tsh_pool *pool;
  tsh_kafka_req *req;
  tsh_err err = {0};

  for (int i = 2; i <= count; i++)
    tsh_bind_read_data(L, i, *keeper, args, NULL);
  pool = *keeper;
  *keeper = NULL; /* the call's from here on */
  if (tsh_kafka_call(h->kafka, primitive, pool, args, &req, &err) != 0)
    return fail(L, &err);
  return tsh_bind_await(L, &req->op, push_answer);
}

/* Opening. */

static int push_handle(lua_State *L, handle *h, tsh_kafka *kafka) {
  h->kafka = kafka;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  h->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  tsh_bind_opened(L, h);
  return 1;
}

/* open{ bootstrap, name, protocol, ... } -> client. Never waits. */
static int kafka_open(lua_State *L) {
  static const char *const names[] = {
      "bootstrap",    "name",       "read_only", "validates",
      "protocol",     "mechanism",  "user",      "password",
      "ca",           "cert",       "key",       "settings",
      "key_password", "timeout_ms", "token",     NULL};
  tsh_kafka_setup setup = {0};
  tsh_pool **keeper;
  tsh_data *root;
  tsh_kafka *kafka;
  tsh_err err = {0};
  handle *h;

  tsh_bind_options(L, 1, names);
  lua_settop(L, 1);
  setup.bootstrap = tsh_bind_opt_string(L, 1, "bootstrap", NULL);
  luaL_argcheck(L, setup.bootstrap != NULL, 1, "bootstrap is missing");
  setup.name = tsh_bind_opt_string(L, 1, "name", "tranship");
  setup.protocol = tsh_bind_opt_string(L, 1, "protocol", "plaintext");
  setup.mechanism = tsh_bind_opt_string(L, 1, "mechanism", NULL);
  setup.user = tsh_bind_opt_string(L, 1, "user", NULL);
  setup.password = tsh_bind_opt_secret(L, 1, "password");
  setup.ca = tsh_bind_opt_secret(L, 1, "ca");
  setup.cert = tsh_bind_opt_secret(L, 1, "cert");
  setup.key = tsh_bind_opt_secret(L, 1, "key");
  setup.key_password = tsh_bind_opt_secret(L, 1, "key_password");
  setup.token_command = tsh_bind_opt_command(L, 1, "token");
  if (tsh_bind_opt_boolean(L, 1, "read_only", false))
    setup.mode = TSH_KAFKA_READ_ONLY;
  else if (tsh_bind_opt_boolean(L, 1, "validates", false))
    setup.mode = TSH_KAFKA_VALIDATES;
  setup.timeout_ms = (int)tsh_bind_opt_integer(L, 1, "timeout_ms", 0);
  keeper = tsh_bind_pool(L);
  root = tsh_data_table(*keeper);
  if (lua_getfield(L, 1, "settings") != LUA_TNIL)
    tsh_bind_read_data(L, -1, *keeper, root, "settings");
  setup.settings = tsh_data_get(root, "settings");
  h = tsh_bind_new(L, &classes[TSH_KAFKA_CLIENT]);
  if (tsh_kafka_open(&kafka, tsh_bind_loop(L), &setup, &err) != 0)
    return tsh_bind_fail(L, &err);
  return push_handle(L, h, kafka);
}

static int open_role(lua_State *L, tsh_kafka_role role,
                     const char *const names[]) {
  handle *client = tsh_bind_check(L, 1, &classes[TSH_KAFKA_CLIENT]);
  tsh_pool **keeper;
  tsh_data *root;
  tsh_kafka *kafka;
  tsh_err err = {0};
  handle *h;

  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  tsh_bind_options(L, 2, names);
  keeper = tsh_bind_pool(L);
  root = tsh_data_table(*keeper);
  tsh_bind_read_data(L, 2, *keeper, root, NULL);
  h = tsh_bind_new(L, &classes[role]);
  if (tsh_kafka_open_role(&kafka, client->kafka, role, tsh_data_at(root, 1),
                          &err) != 0)
    return fail(L, &err);
  return push_handle(L, h, kafka);
}

/* client:reader{ partitions, isolation, max_bytes, settings } -> reader */
static int client_reader(lua_State *L) {
  static const char *const names[] = {"partitions", "isolation", "max_bytes",
                                      "settings", NULL};

  return open_role(L, TSH_KAFKA_READER, names);
}

/* client:producer{ transactional_id, settings } -> producer */
static int client_producer(lua_State *L) {
  static const char *const names[] = {"transactional_id", "settings", NULL};

  return open_role(L, TSH_KAFKA_PRODUCER, names);
}

static int client_is_read_only(lua_State *L) {
  handle *h = tsh_bind_check(L, 1, &classes[TSH_KAFKA_CLIENT]);

  lua_pushboolean(L, tsh_kafka_mode_of(h->kafka) != TSH_KAFKA_MAY_WRITE);
  return 1;
}

/* primitives() -> { [name] = { role =, writes = } }: the table, for tests. */
static int kafka_primitives(lua_State *L) {
  static const char *const roles[] = {"client", "reader", "producer"};
  size_t count;

  tsh_kafka_primitives(&count);
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) {
    const tsh_kafka_primitive *primitive = tsh_kafka_primitive_at(i);

    lua_createtable(L, 0, 2);
    lua_pushstring(L, roles[tsh_kafka_primitive_role(primitive)]);
    lua_setfield(L, -2, "role");
    lua_pushboolean(L, tsh_kafka_primitive_writes(primitive));
    lua_setfield(L, -2, "writes");
    lua_setfield(L, -2, tsh_kafka_primitive_name(primitive));
  }
  return 1;
}

static void add_methods(lua_State *L) {
  size_t count;

  tsh_kafka_primitives(&count);
  for (size_t i = 0; i < count; i++) {
    const tsh_kafka_primitive *primitive = tsh_kafka_primitive_at(i);

    luaL_getmetatable(L, classes[tsh_kafka_primitive_role(primitive)].name);
    lua_getfield(L, -1, "__index");
    lua_pushlightuserdata(L, (void *)primitive);
    lua_pushcclosure(L, call, 1);
    lua_setfield(L, -2, tsh_kafka_primitive_name(primitive));
    lua_pop(L, 2);
  }
}

static const luaL_Reg functions[] = {
    {"open", kafka_open}, {"primitives", kafka_primitives}, {NULL, NULL}};

int luaopen_vm_kafka(lua_State *L) {
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    tsh_bind_class(L, &classes[i]);
  add_methods(L);
  luaL_newlib(L, functions);
  return 1;
}
