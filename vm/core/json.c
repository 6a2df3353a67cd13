/* JSON text to trees and back. */
#include "json.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Trees may hold secrets, and nobody knows which nodes: all are wiped. */
static void wiping_free(void *p) {
  if (p != NULL)
    explicit_bzero(p, malloc_usable_size(p));
  free(p);
}

static void wipe_from_now_on(void) {
  json_set_alloc_funcs(malloc, wiping_free);
}

void tsh_json_wipe(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once(&once, wipe_from_now_on);
}

int tsh_json_read(json_t **out, const char *text, size_t length, tsh_err *err) {
  json_error_t why;

  tsh_json_wipe();
  *out = json_loadb(text, length,
                    JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
                    &why);
  if (*out != NULL)
    return 0;
  return tsh_err_set(err, TSH_PROTOCOL, "json", (int)json_error_code(&why),
                     "%d:%d: %s", why.line, why.column, why.text);
}

static int add(const char *bytes, size_t length, void *user) {
  tsh_buf *out = user;

  tsh_buf_add(out, bytes, length);
  return out->failed ? -1 : 0;
}

int tsh_json_write(const json_t *tree, int indent, tsh_buf *out, tsh_err *err) {
  size_t flags = JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION(17);

  flags |= indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT;
  if (json_dump_callback(tree, add, out, flags) == 0)
    return 0;
  return tsh_err_set(err, TSH_LIMIT, "json", 0, "too much text");
}
