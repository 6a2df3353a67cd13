/* vm.digest: what a partition holds, as hashes. Records never reach Lua. */
#include "tranship/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "wire_login.h"

enum { DEFAULT_CHUNK = 10000, HASH_TEXT = 17 };

static void set_integer(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void set_hash(lua_State *L, const char *name, const uint64_t *halves,
                     int count) {
  char text[2 * HASH_TEXT];
  int length = 0;

  for (int i = count - 1; i >= 0; i--)
    length += snprintf(text + length, HASH_TEXT, "%016" PRIx64, halves[i]);
  lua_pushlstring(L, text, (size_t)length);
  lua_setfield(L, -2, name);
}

static void push_keys(lua_State *L, const tsh_digest *digest) {
  lua_createtable(L, (int)digest->key_count, 0);
  for (size_t i = 0; i < digest->key_count; i++) {
    const tsh_digest_key *key = &digest->keys[i];

    lua_createtable(L, 0, 3);
    set_hash(L, "key", key->key, 2);
    set_hash(L, "hash", &key->hash, 1);
    set_integer(L, "offset", key->offset);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static int push_chunks(lua_State *L, tsh_op *op) {
  const tsh_digest *digest = (const tsh_digest *)op;

  lua_createtable(L, (int)digest->count, 2);
  for (size_t i = 0; i < digest->count; i++) {
    const tsh_digest_chunk *chunk = &digest->chunks[i];

    lua_createtable(L, 0, 4);
    set_integer(L, "from", chunk->from);
    set_integer(L, "to", chunk->to);
    set_integer(L, "records", chunk->records);
    set_hash(L, "hash", &chunk->hash, 1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int push_buckets(lua_State *L, tsh_op *op) {
  const tsh_digest *digest = (const tsh_digest *)op;

  push_chunks(L, op);
  push_keys(L, digest);
  lua_setfield(L, -2, "keys");
  set_integer(L, "keyless", digest->keyless);
  return 1;
}

static tsh_digest_mode read_mode(lua_State *L) {
  static const char *const names[] = {"batches", "records", "compacted"};
  const char *name = tsh_bind_opt_string(L, 1, "mode", names[0]);
  int mode = 0;

  while (mode < 3 && strcmp(name, names[mode]) != 0)
    mode++;
  if (mode == 3)
    luaL_error(L, "no digest mode '%s'", name);
  return (tsh_digest_mode)mode;
}

static bool read_isolation(lua_State *L) {
  const char *name = tsh_bind_opt_string(L, 1, "isolation", "committed");
  bool committed = strcmp(name, "committed") == 0;

  if (!committed && strcmp(name, "uncommitted") != 0)
    luaL_error(L, "no isolation '%s'", name);
  return committed;
}

/* range{ host, port, topic, partition, from, to, mode, isolation, ... } ->
 * chunks | nil, err */
static int digest_range(lua_State *L) {
  static const char *const names[] = {
      "host",    "port",      "topic",      "partition", "from",
      "to",      "isolation", "mode",       "chunk",     "with_offsets",
      "buckets", "bucket",    "timeout_ms", "login",     NULL};
  tsh_digest_spec spec = {0};
  bool compacted;
  tsh_digest *digest;
  tsh_err err = {0};

  tsh_bind_options(L, 1, names);
  lua_settop(L, 1);
  spec.mode = read_mode(L);
  compacted = spec.mode == TSH_DIGEST_COMPACTED;
  spec.host = tsh_bind_opt_string(L, 1, "host", NULL);
  spec.port = (uint16_t)tsh_bind_opt_integer(L, 1, "port", 0);
  spec.login = tsh_bind_opt_login(L, 1);
  spec.topic = tsh_bind_opt_string(L, 1, "topic", NULL);
  spec.partition = (int32_t)tsh_bind_opt_integer(L, 1, "partition", -1);
  spec.from = tsh_bind_opt_integer(L, 1, "from", -1);
  spec.to = tsh_bind_opt_integer(L, 1, "to", -1);
  spec.committed = read_isolation(L);
  spec.with_offsets = tsh_bind_opt_boolean(L, 1, "with_offsets", 0);
  spec.chunk = compacted ? tsh_bind_opt_integer(L, 1, "buckets", 1)
                         : tsh_bind_opt_integer(L, 1, "chunk", DEFAULT_CHUNK);
  spec.bucket = tsh_bind_opt_integer(L, 1, "bucket", 0) - 1;
  spec.timeout_ms = (uint64_t)tsh_bind_opt_integer(L, 1, "timeout_ms", 0);
  digest = tsh_digest_start(tsh_bind_loop(L), &spec, &err);
  if (digest == NULL && err.kind == TSH_INVALID)
    return luaL_error(L, "%s", err.message);
  if (digest == NULL)
    return tsh_bind_fail(L, &err);
  return tsh_bind_await(L, &digest->op, compacted ? push_buckets : push_chunks);
}

static const luaL_Reg functions[] = {{"range", digest_range}, {NULL, NULL}};

int luaopen_vm_digest(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
