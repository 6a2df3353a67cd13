/* The Lua library: loaded from the embedded source, or from a folder.
 *
 * A process that opens a second state (sandbox.fresh) would compile everything
 * again. So a state remembers what it compiled, and shares it as bytecode when
 * a second one is about to be opened; nothing else loads bytecode. */
#include "library.h"

#include <lauxlib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/state.h"
#include "sources.h"
#include "tranship/buf.h"

enum { LARGEST_CHUNK = 1 << 24 };

/* Chunks that were compiled in this state, by the index of their source. */
static const char chunks_key[] = "library.chunks";

/* Chunks that are shared, by the same index; never freed. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tsh_buf *shared;

static int add_bytes(lua_State *L, const void *bytes, size_t size, void *buf) {
  (void)L;
  tsh_buf_add(buf, bytes, size);
  return 0;
}

/* Shares the function on top of the stack. */
static void share(lua_State *L, size_t index) {
  tsh_buf bytes;

  if (shared == NULL)
    shared = calloc(tsh_source_count, sizeof *shared);
  if (shared == NULL || shared[index].length > 0)
    return;
  tsh_buf_init(&bytes, LARGEST_CHUNK);
  lua_dump(L, add_bytes, &bytes, 0);
  if (bytes.failed)
    tsh_buf_fini(&bytes);
  else
    shared[index] = bytes;
}

void tsh_library_share(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, chunks_key) == LUA_TTABLE) {
    pthread_mutex_lock(&lock);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
      share(L, (size_t)lua_tointeger(L, -2));
    pthread_mutex_unlock(&lock);
  }
  lua_pop(L, 1);
}

/* What is shared stays where it is, so it may be used after unlocking. */
static const tsh_buf *find_shared(size_t index) {
  const tsh_buf *bytes = NULL;

  pthread_mutex_lock(&lock);
  if (shared != NULL && shared[index].length > 0)
    bytes = &shared[index];
  pthread_mutex_unlock(&lock);
  return bytes;
}

/* Remembers the function on top of the stack. */
static void remember(lua_State *L, size_t index) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, chunks_key);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)index);
  lua_pop(L, 1);
}

static int by_path(const void *key, const void *entry) {
  return strcmp(key, ((const tsh_source *)entry)->path);
}

static int load_embedded(lua_State *L, const char *path) {
  const tsh_source *source = bsearch(path, tsh_sources, tsh_source_count,
                                     sizeof tsh_sources[0], by_path);
  const tsh_buf *bytes;
  size_t index;

  if (source == NULL)
    return 0;
  index = (size_t)(source - tsh_sources);
  bytes = find_shared(index);
  if (bytes != NULL) {
    if (luaL_loadbufferx(L, bytes->data, bytes->length, source->chunk_name,
                         "b") != LUA_OK)
      lua_error(L);
    return 1;
  }
  if (luaL_loadbufferx(L, (const char *)source->text, source->length,
                       source->chunk_name, "t") != LUA_OK)
    lua_error(L);
  remember(L, index);
  return 1;
}

/* From disk, but under the same chunk name, so that messages do not differ. */
static int load_from_disk(lua_State *L, const char *folder, const char *path) {
  FILE *file;
  luaL_Buffer b;
  size_t n;

  lua_pushfstring(L, "%s/%s", folder, path);
  file = fopen(lua_tostring(L, -1), "rb");
  lua_pop(L, 1);
  if (file == NULL)
    return 0;
  luaL_buffinit(L, &b);
  do {
    n = fread(luaL_prepbuffer(&b), 1, LUAL_BUFFERSIZE, file);
    luaL_addsize(&b, n);
  } while (n > 0);
  fclose(file);
  luaL_pushresult(&b);
  lua_pushfstring(L, "=stdlib/%s", path);
  if (luaL_loadbufferx(L, lua_tostring(L, -2), lua_rawlen(L, -2),
                       lua_tostring(L, -1), "t") != LUA_OK)
    lua_error(L);
  return 1;
}

int tsh_library_load(lua_State *L, const char *path) {
  const char *folder = tsh_bind_state(L)->stdlib;

  if (folder != NULL && strncmp(path, "vm/", 3) != 0)
    return load_from_disk(L, folder, path);
  return load_embedded(L, path);
}
