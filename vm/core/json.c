/* JSON text to trees and back. */
#include "json.h"

int tsh_json_read(json_t **out, const char *text, size_t length, tsh_err *err) {
  json_error_t why;

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
