/* JSON text to trees and back (jansson's trees), with our rules:
 * int64 stays exact, keys are sorted, doubles round-trip, duplicate keys are
 * refused, and any value may stand at the top. */
#ifndef TRANSHIP_CORE_JSON_H
#define TRANSHIP_CORE_JSON_H

#include <jansson.h>

#include "tranship/buf.h"
#include "tranship/err.h"

/* From now on the memory of trees is wiped when it is freed; whoever makes
 * trees of what may be secret calls it first (tsh_json_read does). */
void tsh_json_wipe(void);
/* `*out` is a new reference, to be given back with json_decref. */
int tsh_json_read(json_t **out, const char *text, size_t length, tsh_err *err);
/* Adds the text of `tree` to `out`; `indent` 0 means one line. */
int tsh_json_write(const json_t *tree, int indent, tsh_buf *out, tsh_err *err);

#endif
