/* The Lua library: embedded, or from a folder.
 *
 * Compiling what a short command needs takes longer than its work, so what is
 * embedded is compiled while building. Nothing else loads bytecode. */
#include "library.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/state.h"
#include "chunks.h"
#include "sources.h"

static int by_path(const void *key, const void *entry) {
  return strcmp(key, ((const tsh_source *)entry)->path);
}

/* A Lua that reads other bytecode than the one we were built with refuses the
 * chunk, and gets the text. */
static int load_embedded(lua_State *L, const char *path) {
  const tsh_source *source = bsearch(path, tsh_sources, tsh_source_count,
                                     sizeof tsh_sources[0], by_path);
  const tsh_chunk *chunk;
  int rc;

  if (source == NULL)
    return 0;
  chunk = &tsh_chunks[source - tsh_sources];
  rc = luaL_loadbufferx(L, (const char *)chunk->bytes, chunk->length,
                        source->chunk_name, "b");
  if (rc == LUA_ERRSYNTAX) {
    lua_pop(L, 1);
    rc = luaL_loadbufferx(L, (const char *)source->text, source->length,
                          source->chunk_name, "t");
  }
  if (rc != LUA_OK)
    lua_error(L);
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
