/* Compiles the embedded library while building, so that starting need not: it
 * prints a C table of chunks (vm/chunks.h), with all that messages and
 * tracebacks need. A syntax error in the library ends the build. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#include "../chunks.h"
#include "../sources.h"

struct output {
  FILE *file;
  size_t length;
};

static int put_bytes(lua_State *L, const void *bytes, size_t size, void *user) {
  const unsigned char *byte = bytes;
  struct output *out = user;

  (void)L;
  for (size_t i = 0; i < size; i++)
    if (fprintf(out->file, "%u,", byte[i]) < 0)
      return 1;
  out->length += size;
  return 0;
}

/* Its length, or 0. */
static size_t put_chunk(lua_State *L, size_t index, FILE *file) {
  const tsh_source *source = &tsh_sources[index];
  struct output out = {.file = file};
  int rc;

  if (luaL_loadbufferx(L, (const char *)source->text, source->length,
                       source->chunk_name, "t") != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return 0;
  }
  fprintf(file, "static const unsigned char c%zu[] = {", index);
  rc = lua_dump(L, put_bytes, &out, 0);
  fprintf(file, "0};\n");
  lua_pop(L, 1);
  return rc == 0 ? out.length : 0;
}

static int put_all(lua_State *L, size_t *lengths, FILE *file) {
  fprintf(file, "#include \"chunks.h\"\n");
  for (size_t i = 0; i < tsh_source_count; i++) {
    lengths[i] = put_chunk(L, i, file);
    if (lengths[i] == 0)
      return EXIT_FAILURE;
  }
  fprintf(file, "const tsh_chunk tsh_chunks[] = {\n");
  for (size_t i = 0; i < tsh_source_count; i++)
    fprintf(file, "  {c%zu, %zu},\n", i, lengths[i]);
  fprintf(file, "};\n");
  return ferror(file) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "w") : NULL;
  size_t *lengths = calloc(tsh_source_count, sizeof *lengths);
  lua_State *L = luaL_newstate();
  int code = EXIT_FAILURE;

  if (file != NULL && lengths != NULL && L != NULL)
    code = put_all(L, lengths, file);
  if (L != NULL)
    lua_close(L);
  free(lengths);
  if (file != NULL && fclose(file) != 0)
    code = EXIT_FAILURE;
  return code;
}
