/* YAML text to jansson's trees, as kubectl reads it: YAML 1.1 scalars, several
 * documents, anchors and merge keys; keys are text, duplicates are refused.
 *
 * Where each value stands in the text is kept beside the trees, so that errors
 * can name file, line and field. */
#ifndef TRANSHIP_CORE_YAML_TREE_H
#define TRANSHIP_CORE_YAML_TREE_H

#include "json.h"

typedef struct tsh_yaml_place tsh_yaml_place;

typedef struct tsh_yaml {
  json_t *documents; /* an array; empty documents are left out */
  tsh_yaml_place *places;
  size_t count, capacity;
} tsh_yaml;

/* Scalars stay text, whatever they look like (null apart): for files whose
 * fields say themselves what they are. */
enum { TSH_YAML_TEXT = 1 };

int tsh_yaml_read(tsh_yaml *out, const char *text, size_t length, int flags,
                  tsh_err *err);
void tsh_yaml_fini(tsh_yaml *yaml);

/* The line (from 1) of the value under `key` in `parent`, else of the mapping
 * itself (`key` NULL), else 0. */
int tsh_yaml_line(const tsh_yaml *yaml, const json_t *parent, const char *key);

#endif
